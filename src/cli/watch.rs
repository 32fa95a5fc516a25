//! Asks again and again, each time on a clean screen, until SIGINT, SIGTERM, or nobody reads. Knows nothing of what is asked.

use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::looks::Looks;
use super::{Exit, output};

/// What one asking came to.
pub(crate) enum Picture {
    /// An answer, laid out.
    Shown(String),
    /// The daemon could not answer now; in words.
    NotNow(String),
    /// The daemon will never answer this; in words.
    Refused(String),
}

enum Event {
    Asked(Picture),
    Interrupted,
}

/// Shows what `ask` gives, and again so long after each answer. Blocks until it is interrupted.
pub(crate) fn run(
    (title, every): (&str, Duration),
    looks: Looks,
    ask: impl FnMut() -> Picture + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let (events, received) = sync_channel(1);
    listen_for_signals(events.clone())?;
    let spawned = thread::Builder::new().name("asking".to_owned());
    spawned.spawn(move || ask_again(every, ask, &events)).context("no thread for asking")?;
    let title = format!("{title}, every {} s, Ctrl-C ends", every.as_secs());
    let mut screen = Screen { looks, title, last: None };
    loop {
        match received.recv() {
            Ok(Event::Asked(Picture::Refused(words))) if screen.last.is_none() => {
                output::note(&words);
                return Ok(Exit::Failed.into());
            }
            Ok(Event::Asked(picture)) => {
                if !output::print_while_read(screen.frame(picture).as_bytes())? {
                    return Ok(Exit::Done.into());
                }
            }
            Ok(Event::Interrupted) | Err(_) => {
                // The shell's prompt begins on a line of its own.
                output::print(b"\n")?;
                return Ok(Exit::Done.into());
            }
        }
    }
}

/// Ends once nobody waits for pictures.
fn ask_again(every: Duration, mut ask: impl FnMut() -> Picture, events: &SyncSender<Event>) {
    while events.send(Event::Asked(ask())).is_ok() {
        thread::sleep(every);
    }
}

fn listen_for_signals(events: SyncSender<Event>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
    };
    let listen = move || {
        runtime.block_on(async {
            let [interrupt, terminate] = &mut signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Were nobody there to receive it, the process would be at its end already.
        if events.send(Event::Interrupted).is_err() {}
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen).context("no thread for signals")?;
    Ok(())
}

/// What the terminal shows.
struct Screen {
    looks: Looks,
    title: String,
    /// The last answer.
    last: Option<String>,
}

impl Screen {
    /// The bytes that show a picture: in place of the one before where the terminal can do that, else below it. Where there is
    /// no answer, the last one stays, with the reason.
    fn frame(&mut self, picture: Picture) -> String {
        let title = &self.title;
        let (Picture::Shown(text) | Picture::NotNow(text) | Picture::Refused(text)) = &picture;
        let body = match (&picture, &self.last) {
            (Picture::Shown(_), _) => format!("{title}\n\n{text}"),
            (_, Some(last)) => format!("{title}\n\n{last}\nnot the latest: {text}\n"),
            (_, None) => format!("{title}\n\n{text}\n"),
        };
        if let Picture::Shown(text) = picture {
            self.last = Some(text);
        }
        match self.looks {
            Looks::Plain => format!("{body}\n"),
            // To the first place; each line to its end, then all below is cleared, so that nothing flickers.
            Looks::Bars | Looks::Colours => {
                format!("\u{1b}[H{}\u{1b}[J", body.replace('\n', "\u{1b}[K\n"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(looks: Looks) -> Screen {
        Screen { looks, title: "t".to_owned(), last: None }
    }

    #[test]
    fn each_picture_takes_the_place_of_the_one_before() {
        let mut screen = screen(Looks::Bars);
        let expected = "\u{1b}[Ht\u{1b}[K\n\u{1b}[K\na\u{1b}[K\n\u{1b}[J";
        assert_eq!(screen.frame(Picture::Shown("a\n".to_owned())), expected);
        assert!(screen.frame(Picture::Shown("b\n".to_owned())).contains("b\u{1b}[K\n"));
    }

    #[test]
    fn the_last_picture_stays_while_there_is_no_answer() {
        let mut screen = screen(Looks::Plain);
        assert_eq!(screen.frame(Picture::NotNow("gone".to_owned())), "t\n\ngone\n\n");
        assert_eq!(screen.frame(Picture::Shown("a\n".to_owned())), "t\n\na\n\n");
        for words in ["gone", "still"] {
            let frame = screen.frame(Picture::NotNow(words.to_owned()));
            assert_eq!(frame, format!("t\n\na\n\nnot the latest: {words}\n\n"));
        }
        assert_eq!(screen.frame(Picture::Shown("b\n".to_owned())), "t\n\nb\n\n");
    }
}
