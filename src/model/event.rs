//! The vocabulary of events: stories, sources, metrics, interaction nodes, series, events.
//! Knows nothing of how events are written, stored or reported.

use std::borrow::Cow;
use std::fmt;

use crate::model::calendar::Hour;
use crate::model::named::named_enum;

/// Exactly 24 characters of `[0-9A-Za-z]`, as platforms name their stories and interactions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(IdText);

/// As many bytes as an id has, not yet checked.
pub type IdText = [u8; ObjectId::LEN];

impl ObjectId {
    /// Length of the text of an id, in bytes.
    pub const LEN: usize = 24;

    /// The id that `text` spells; `None` unless it is 24 ASCII letters and digits.
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bytes: IdText = text.try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    /// The id as its 24 ASCII characters.
    #[inline]
    pub fn as_bytes(&self) -> &IdText {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Every byte is an ASCII letter or digit, by `parse`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one story (a bot scenario).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StoryId(pub ObjectId);

impl fmt::Display for StoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one interaction (a node of a story).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InteractionId(pub ObjectId);

impl fmt::Display for InteractionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

named_enum! {
    /// The channel that a conversation runs on, as events and reports name it.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    #[repr(u8)]
    pub enum Source {
        /// Facebook Messenger.
        Messenger = "messenger",
        /// `LiveChat`, API version 2.
        Livechat = "livechat",
        /// `LiveChat`, API version 3.
        Livechat3 = "livechat3",
        /// Slack.
        Slack = "slack",
        /// The chat widget of a web page.
        Widget = "widget",
        /// A mobile application.
        App = "app",
        /// Anything of the platform's own.
        Custom = "custom",
    }
}

impl Source {
    /// The code in what is stored and sent. NOTE: never give one another meaning, since files outlive a version and daemons of
    /// different versions read the same messages.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Messenger => 0,
            Self::Livechat => 1,
            Self::Livechat3 => 2,
            Self::Slack => 3,
            Self::Widget => 4,
            Self::App => 5,
            Self::Custom => 6,
        }
    }

    /// The source of a code.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.code() == code)
    }

    /// Position in [`Source::ALL`], 0 … 6.
    #[expect(clippy::as_conversions, reason = "a unit-only enum of u8 widens to usize without loss")]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A node of a story that can answer a person. A parser names it by unchecked text: `Node<&IdText>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Node<Id = InteractionId> {
    /// An interaction with an id of its own.
    Interaction(Id),
    /// The fallback inside the interaction that is named.
    ContextFallback(Id),
    /// The story's default fallback.
    Fallback,
    /// The story's opening.
    Welcome,
}

impl Node {
    /// The same node by the text of its id.
    pub(crate) fn as_text(&self) -> Node<&IdText> {
        match self {
            Self::Interaction(id) => Node::Interaction(id.0.as_bytes()),
            Self::ContextFallback(id) => Node::ContextFallback(id.0.as_bytes()),
            Self::Fallback => Node::Fallback,
            Self::Welcome => Node::Welcome,
        }
    }
}

impl Node<&IdText> {
    /// The node, if the text is that of an id.
    pub(crate) fn parse(self) -> Option<Node> {
        let id = |text: &IdText| ObjectId::parse(text).map(InteractionId);
        Some(match self {
            Self::Interaction(text) => Node::Interaction(id(text)?),
            Self::ContextFallback(text) => Node::ContextFallback(id(text)?),
            Self::Fallback => Node::Fallback,
            Self::Welcome => Node::Welcome,
        })
    }
}

/// What a series counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Metric {
    /// Conversations started.
    Conversations,
    /// Conversations that the platform bills, a subset of the conversations.
    PaidConversations,
    /// Messages, either way.
    Messages,
    /// Uses of one interaction node.
    Interaction(Node),
}

/// Names a series within one daemon; dense, given in the order in which series are first seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeriesId(u32);

impl SeriesId {
    /// The id of that number.
    #[inline]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number of the id.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The id as an index into a table of series.
    #[inline]
    #[expect(clippy::as_conversions, reason = "u32 always fits the usize of the machines supported")]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The kind of an event, by which events are tallied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A conversation started.
    Conversation,
    /// A message was exchanged.
    Message,
    /// An interaction node answered.
    Interaction,
}

impl EventKind {
    /// The kind that `name` stands for in events.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "conversation" => Some(Self::Conversation),
            "message" => Some(Self::Message),
            "interaction" => Some(Self::Interaction),
            _ => None,
        }
    }
}

/// What makes one series: its story, source and metric.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeriesKey {
    /// The story counted for.
    pub story: StoryId,
    /// The channel counted for.
    pub source: Source,
    /// What is counted.
    pub metric: Metric,
}

/// One thing that happened, checked: every part is in its range and the hour is acceptable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// The story it belongs to.
    pub story: StoryId,
    /// The channel it came on.
    pub source: Source,
    /// What happened.
    pub what: EventDetails<'a>,
    /// How often; 0 makes the story and the interaction known and counts nothing.
    pub count: u32,
    /// The UTC hour it counts in.
    pub hour: Hour,
    /// The story's display name, where the event carries one.
    pub story_name: Option<Cow<'a, str>>,
}

/// What happened, by the kind of the event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventDetails<'a> {
    /// Conversations that started.
    Conversation {
        /// Whether they are billed. With a count of 0, one earlier conversation turns out to be billed.
        paid: bool,
    },
    /// Messages that were exchanged.
    Message,
    /// An interaction node answered.
    Interaction {
        /// Which node.
        node: Node,
        /// The node's display name, where the event carries one.
        name: Option<Cow<'a, str>>,
    },
}
