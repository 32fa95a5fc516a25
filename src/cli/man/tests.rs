//! Every command has its page, with all of its options; what the examples say can be run.

use super::sections::SECTIONS;
use super::*;
use clap::Parser as _;

/// The page's text as a reader sees its words, without roff's escapes.
fn words(text: &[u8]) -> String {
    let text = std::str::from_utf8(text).expect("text");
    text.replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fR", "")
        .replace("\\fI", "")
        .replace("\\*(Aq", "'")
        .replace("\\&", "")
}

#[test]
fn every_command_has_a_page_with_all_its_options_and_the_exit_codes() {
    let pages = pages().expect("pages");
    let text = |name: &str| {
        let page = pages.iter().find(|(page, _)| page == name);
        words(&page.unwrap_or_else(|| panic!("{name} is missing")).1)
    };
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let within = program.get_subcommands().flat_map(Command::get_subcommands);
    let commands: Vec<&Command> =
        std::iter::once(&program).chain(program.get_subcommands()).chain(within).collect();
    let count = commands.len();
    let mut checked = 0;
    for command in commands {
        let page = text(&format!("{}.1", command.get_display_name().unwrap_or("tallyd")));
        assert!(page.contains(" 1 \"\" \"tallyd "), "{page}");
        for argument in command.get_arguments() {
            if let Some(flag) = argument.get_long() {
                assert!(page.contains(&format!("--{flag}")), "{flag} is not in {page}");
                checked += 1;
            }
        }
        for (_, code, meaning) in EXITS {
            assert!(page.contains(&format!("\n{code}\n{meaning}")), "{code} is not in {page}");
        }
        assert!(page.contains("\n.SH EXAMPLES") || page.contains("\n.SH \"EXAMPLES\""), "{page}");
    }
    assert!(checked > 40, "{checked}");
    assert_eq!(pages.len(), count + 1, "and that of the file");
}

#[test]
fn page_of_the_file_has_every_key_with_what_it_takes() {
    let page = words(&file::page().expect("a page"));
    assert!(page.contains("\n.TH TALLYD.TOML 5 \"\" \"tallyd "), "{page}");
    for option in &OPTIONS {
        assert!(
            page.contains(&format!("\n{} = {}\n", option.name, option.value_name)),
            "{}: {page}",
            option.name
        );
        assert!(page.contains(option.takes.split('`').next().unwrap_or_default()), "{}", option.name);
    }
}

#[test]
fn examples_are_command_lines_that_are_understood() {
    let mut tried = 0;
    for (command, sections) in SECTIONS {
        for (line, _) in
            sections.iter().filter(|section| section.is_examples).flat_map(|section| section.rows)
        {
            let words = line.split_whitespace().take_while(|word| !word.starts_with('>'));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
            assert!(
                command == "tallyd"
                    || command == "serve"
                    || command == "backup"
                    || line.split(' ').any(|word| word == command),
                "{line}"
            );
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried}");
}
