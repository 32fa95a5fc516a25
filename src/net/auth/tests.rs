//! What is let in, and which texts make tokens.

use super::{Auth, Denied, Renewal, Scope, generate};
use crate::limits::STORIES_PER_TOKEN_MAX;
use crate::model::event::{ObjectId, StoryId};
use crate::model::story_set::StorySet;

const READ: &str = "tally_read_0123456789";
const WRITE: &str = "tally_write_0123456789";
const ADMIN: &str = "tally_admin_0123456789";

fn auth() -> Auth {
    Auth::from_env_text(&format!("board:read:{READ}; bots:write:{WRITE}\nroot:admin:{ADMIN}")).unwrap()
}

#[test]
fn check_lets_everything_in_where_no_tokens_are_configured() {
    let auth = Auth::default();
    assert!(auth.is_open());
    assert_eq!(
        auth.check(None, Scope::Admin).map(|permit| permit.name().to_owned()).as_deref(),
        Ok("anonymous")
    );
    assert!(auth.check(Some("whatever"), Scope::Write).is_ok());
}

#[test]
fn check_follows_the_scopes() {
    let auth = auth();
    let check = |presented, scope| auth.check(presented, scope).map(|permit| permit.name().to_owned());
    assert_eq!(check(None, Scope::Read), Err(Denied::Missing));
    assert_eq!(check(Some("tally_wrong"), Scope::Read), Err(Denied::Unknown));
    assert_eq!(check(Some(READ), Scope::Read).as_deref(), Ok("board"));
    assert_eq!(check(Some(READ), Scope::Write), Err(Denied::Scope));
    assert_eq!(check(Some(WRITE), Scope::Write).as_deref(), Ok("bots"));
    assert_eq!(check(Some(WRITE), Scope::Read), Err(Denied::Scope));
    for scope in Scope::ALL {
        assert_eq!(check(Some(ADMIN), scope).as_deref(), Ok("root"));
    }
    assert_eq!(check(Some(READ), Scope::Admin), Err(Denied::Scope));
}

#[test]
fn generate_makes_an_entry_that_its_secret_opens() {
    let (secret, entry) = generate("bots", &[Scope::Write, Scope::Read, Scope::Write], &[]).unwrap();
    assert!(secret.starts_with("tally_") && secret.len() == 49, "{secret}");
    assert!(!entry.contains(&secret));
    let auth = Auth::from_file_text(&entry).unwrap();
    assert!(auth.check(Some(&secret), Scope::Write).is_ok());
    assert!(auth.check(Some(&secret), Scope::Read).is_ok());
    assert_eq!(auth.check(Some(&secret), Scope::Admin), Err(Denied::Scope));
    let (other, _) = generate("bots", &[Scope::Read], &[]).unwrap();
    assert_ne!(secret, other);
    assert!(generate("", &[Scope::Read], &[]).is_err());
    assert!(generate("bots", &[], &[]).is_err());
}

#[test]
fn debug_shows_neither_secrets_nor_digests() {
    let text = format!("{:?}", auth());
    assert!(text.contains("board") && text.contains("***"), "{text}");
    assert!(!text.contains(READ) && !text.contains("digest: ["), "{text}");
}

#[test]
fn file_tells_every_fault_with_its_line() {
    let text = "\
colour = 1

[[token]]
name = \"a b\"
scopes = [\"read\", \"all\"]
sha256 = \"abc\"
secret = \"s\"

[[token]]
scopes = []
";
    let faults = Auth::from_file_text(text).unwrap_err();
    let starts: Vec<&str> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    assert_eq!(
        starts,
        ["line 1", "line 4", "line 5", "line 6", "line 7", "line 9", "line 9", "line 10"],
        "{faults:#?}"
    );
    assert!(faults[3].contains("not the secret itself"), "{faults:#?}");
}

#[test]
fn file_limits_tokens_to_stories() {
    let digest = "a".repeat(64);
    let entry = |scopes: &str, stories: &str| {
        format!("[[token]]\nstories = {stories}\nname = \"x\"\nscopes = [{scopes}]\nsha256 = \"{digest}\"\n")
    };
    let id = "5b07ffafc2376e30306d9b16";
    assert!(Auth::from_file_text(&entry("\"read\"", &format!("[\"{id}\"]"))).is_ok());
    let many = |count: usize| format!("{:?}", (0..count).map(|n| format!("{n:024}")).collect::<Vec<_>>());
    assert!(Auth::from_file_text(&entry("\"read\"", &many(STORIES_PER_TOKEN_MAX))).is_ok());
    for (scopes, stories, part) in [
        ("\"read\"", "[]".to_owned(), "empty"),
        ("\"read\"", format!("\"{id}\""), "must be an array"),
        ("\"read\"", format!("[\"{id}\", \"5b07\"]"), "24 ASCII letters and digits"),
        ("\"read\"", "[7]".to_owned(), "24 ASCII letters and digits"),
        ("\"read\"", many(STORIES_PER_TOKEN_MAX + 1), "limited to 1000 stories"),
        ("\"read\", \"admin\"", format!("[\"{id}\"]"), "\"admin\" cannot be limited"),
    ] {
        let faults = Auth::from_file_text(&entry(scopes, &stories)).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with("line 2: "), "{faults:?}");
        assert!(faults[0].contains(part), "{faults:?}");
    }
}

#[test]
fn generated_token_is_limited_to_its_stories() {
    let id = |text: &[u8]| StoryId(ObjectId::parse(text).unwrap());
    let stories = [id(b"5b07ffafc2376e30306d9b16"), id(b"5b07ff77c2376e30306d9b12")];
    let (secret, entry) = generate("bakery", &[Scope::Read], &stories).unwrap();
    let permit = Auth::from_file_text(&entry).unwrap().check(Some(&secret), Scope::Read).unwrap();
    assert_eq!(permit.stories(), &StorySet::only(stories.to_vec()));
    assert_eq!(permit.key_owner(), Some("bakery"));
    assert!(generate("bakery", &[Scope::Admin], &stories).is_err());
}

#[test]
fn permit_follows_the_tokens_as_they_are_replaced() {
    let (secret, entry) = generate("x", &[Scope::Write], &[]).unwrap();
    let entry = |more: &str| format!("{entry}{more}");
    let auth = Auth::from_file_text(&entry("")).unwrap();
    let mut permit = auth.check(Some(&secret), Scope::Write).unwrap();
    assert_eq!(auth.renew(&mut permit), Ok(Renewal::Same));
    let limited = Auth::from_file_text(&entry("stories = [\"5b07ffafc2376e30306d9b16\"]\n")).unwrap();
    auth.replace(&limited);
    assert_eq!(auth.renew(&mut permit), Ok(Renewal::OtherStories));
    assert!(permit.stories().is_limited());
    auth.replace(&limited);
    assert_eq!(auth.renew(&mut permit), Ok(Renewal::Same));
    auth.replace(&Auth::from_file_text(&entry("").replace("write", "read")).unwrap());
    assert_eq!(auth.renew(&mut permit), Err(Denied::Scope));
    auth.replace(&self::auth());
    assert_eq!(auth.renew(&mut permit), Err(Denied::Unknown));
}

#[test]
fn file_takes_an_empty_text_and_refuses_broken_toml_with_a_line() {
    assert!(Auth::from_file_text("").unwrap().is_open());
    assert!(Auth::from_file_text("# none yet\n").unwrap().is_open());
    let faults = Auth::from_file_text("[[token]]\nname = \n").unwrap_err();
    assert!(faults[0].starts_with("line 2: "), "{faults:?}");
}

#[test]
fn environment_tells_every_fault_without_the_secret() {
    let faults = Auth::from_env_text("a:read;b:all:tally_0123456789abc;c:read:short;d!:read:x").unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|fault| !fault.contains("tally_0") && !fault.contains("short")), "{faults:?}");
    assert!(faults[0].starts_with("token 1: "), "{faults:?}");
}

#[test]
fn merged_has_both_and_refuses_what_occurs_twice() {
    let more = Auth::from_env_text("more:read:tally_more_0123456789").unwrap();
    let both = auth().merged(&more).unwrap();
    assert_eq!(both.token_count(), 4);
    let faults = both.merged(&more).err().unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn replace_takes_effect_for_every_holder() {
    let held = std::sync::Arc::new(auth());
    let other = std::sync::Arc::clone(&held);
    other.replace(&Auth::from_env_text("new:read:tally_new_0123456789").unwrap());
    assert_eq!(held.check(Some(READ), Scope::Read), Err(Denied::Unknown));
    assert!(held.check(Some("tally_new_0123456789"), Scope::Read).is_ok());
}
