//! The complete grammars: line protocol ([`mod@line`]), JSON ([`json`]), the values of both ([`value`]), and the rules
//! that make an event of either ([`rules`]). What they say is right; [`fast`](super::fast) only says some of it sooner.

pub mod json;
pub mod line;
pub mod rules;
pub mod value;
