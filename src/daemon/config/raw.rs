//! Where the options come from: flags, variables of the environment, the file. Values stay text, each with its
//! origin, so that a fault can say where it is. Knows nothing of what the values mean.
//!
//! INVARIANT: a flag wins over a variable, a variable over the file, the file over the default.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigFault;
use super::options::{CONFIG_VARIABLE, Key, OPTIONS, OptionSpec, by_name};
use super::variables::nearest;
use crate::limits::CONFIG_BYTES_MAX;

/// Reads a variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the command line says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// The options that were given as flags.
    pub options: Vec<(Key, String)>,
    /// The configuration file that was named.
    pub config: Option<PathBuf>,
    /// The names of the environment's variables, among which misspelt ones are looked for.
    pub variables: Vec<String>,
}

/// The text of an option and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct OptionValue {
    pub(super) text: String,
    /// The flag, the variable, or the place in the file.
    pub(super) origin: String,
}

/// The winning value of every option that has one.
#[derive(Debug, Default)]
pub(super) struct Raw {
    values: Vec<(Key, OptionValue)>,
}

impl Raw {
    /// Collects the options. Faults are those of form: unreadable files, unknown keys.
    pub(super) fn collect(
        given: &Given,
        environment: Environment<'_>,
        faults: &mut Vec<ConfigFault>,
    ) -> Self {
        let mut raw = Self::default();
        for (key, text) in &given.options {
            if let Some(option) = OPTIONS.iter().find(|option| option.key == *key) {
                raw.put(*key, OptionValue { text: text.clone(), origin: format!("--{}", option.name) });
            }
        }
        for option in &OPTIONS {
            if let Some(value) = variable(&option.variable(), environment, faults) {
                raw.put(option.key, value);
            }
        }
        let file = given.config.clone().or_else(|| {
            variable(CONFIG_VARIABLE, environment, faults).map(|value| PathBuf::from(value.text))
        });
        if let Some(path) = file {
            raw.put_file(&path, faults);
        }
        for option in &OPTIONS {
            if let Some(default) = option.default {
                let origin = format!("the default of {}", option.name);
                raw.put(option.key, OptionValue { text: default.to_owned(), origin });
            }
        }
        raw
    }

    /// The value of the option, if it has one.
    pub(super) fn get(&self, key: Key) -> Option<&OptionValue> {
        self.values.iter().find(|(of, _)| *of == key).map(|(_, value)| value)
    }

    /// Sets the value, unless an origin that wins has set it already.
    fn put(&mut self, key: Key, value: OptionValue) {
        if self.get(key).is_none() {
            self.values.push((key, value));
        }
    }

    fn put_file(&mut self, path: &Path, faults: &mut Vec<ConfigFault>) {
        let text = match read_text(path) {
            Ok(text) => text,
            Err(what) => return faults.push(ConfigFault::new(path.display(), what)),
        };
        let (root, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let line = line_at(&text, error.span().map_or(0, |span| span.start));
            faults.push(ConfigFault::new(format_args!("{}, line {line}", path.display()), error.message()));
        }
        // What follows a syntax error is guesswork, so only the errors themselves are reported then.
        if !errors.is_empty() {
            return;
        }
        for (key, value) in root.get_ref() {
            let line = line_at(&text, key.span().start);
            match entry(key.get_ref(), value) {
                Ok((option, text)) => {
                    let origin = format!("{}, line {line}, {}", path.display(), option.name);
                    self.put(option.key, OptionValue { text, origin });
                }
                Err(what) => {
                    faults.push(ConfigFault::new(format_args!("{}, line {line}", path.display()), what));
                }
            }
        }
    }
}

/// The variable's value. An empty variable counts as none, as `NAME= tallyd` means it.
fn variable(name: &str, environment: Environment<'_>, faults: &mut Vec<ConfigFault>) -> Option<OptionValue> {
    match environment(name)?.into_string() {
        Ok(text) if text.is_empty() => None,
        Ok(text) => Some(OptionValue { text, origin: name.to_owned() }),
        Err(_) => {
            faults.push(ConfigFault::new(name, "is not UTF-8"));
            None
        }
    }
}

/// The option and the text of one entry of the file.
fn entry(key: &str, value: &Spanned<DeValue<'_>>) -> Result<(&'static OptionSpec, String), String> {
    let Some(option) = by_name(key) else {
        let meant = key.replace('_', "-").to_ascii_lowercase();
        let unknown = format!("unknown key `{}`", key.escape_debug());
        if let Some(option) = by_name(&meant) {
            return Err(format!("{unknown}; it is spelt `{}`", option.name));
        }
        if let Some(meant) = nearest(&meant, OPTIONS.iter().map(|option| option.name)) {
            return Err(format!("{unknown}; is `{meant}` meant?"));
        }
        let names: Vec<_> = OPTIONS.iter().map(|option| option.name).collect();
        return Err(format!("{unknown}; there are {}", names.join(", ")));
    };
    match value.get_ref() {
        DeValue::String(text) => Ok((option, text.clone().into_owned())),
        DeValue::Integer(number) => Ok((option, number.to_string())),
        DeValue::Boolean(is_so) if option.is_switch() => Ok((option, is_so.to_string())),
        DeValue::Array(values) if option.is_list() => {
            let texts: Option<Vec<&str>> = values.iter().map(|value| value.get_ref().as_str()).collect();
            let texts =
                texts.ok_or_else(|| format!("`{}` takes {}, as strings", option.name, option.takes))?;
            Ok((option, texts.join(",")))
        }
        _ => Err(format!("`{}` takes {}, as a string", option.name, option.takes)),
    }
}

/// The line, from 1, that the byte is in.
fn line_at(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or_default();
    memchr::memchr_iter(b'\n', before).count().saturating_add(1)
}

/// The text of a file of the operator's. Blocks.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|_not_text| "is not UTF-8".to_owned())
}

/// The bytes of a file of the operator's. Blocks.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > CONFIG_BYTES_MAX {
        return Err(format!("has {bytes} bytes; {CONFIG_BYTES_MAX} is the most"));
    }
    std::fs::read(path).map_err(unreadable)
}
