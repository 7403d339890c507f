//! Reads Windows events in XML, as wevtutil, the event viewer, PowerShell and Splunk write them.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::format::Record;
use super::super::framing::{Framed, Span};
use super::super::messages;
use super::super::rejects::Reject;

/// Begins an instruction in the XML of a binary log, with the reason why a part of the log can't be read.
pub const REJECT: &str = "<?hindcast-reject ";
/// Ends that instruction.
pub(crate) const REJECT_END: &str = "?>";
const BEGIN: &[u8] = b"<Event";
const END: &[u8] = b"</Event>";

/// Cuts text into events. Between them may be the tags of a list, and headers of syslog.
pub fn events(text: &[u8], is_last: bool, line_end: u8) -> Framed {
    let mut framed = Framed::default();
    let (mut line, mut counted, mut at) = (0, 0, 0);
    let mut line_of = |place: usize| {
        line += memchr::memchr_iter(line_end, &text[counted..place]).count() as u64;
        counted = place;
        line
    };
    let mut upcoming = next_event(text, 0);
    while let Some(start) = upcoming {
        let end = memchr::memmem::find(&text[start..], END).map(|end| start + end + END.len());
        let next = next_event(text, start + BEGIN.len());
        // An event that breaks off costs no other event.
        let (end, is_whole) = match (end, next) {
            (Some(end), None) => (end, true),
            (Some(end), Some(next)) => (end.min(next), end <= next),
            (None, Some(next)) => (next, false),
            (None, None) if is_last => (text.len(), false),
            (None, None) => break,
        };
        let first_line = line_of(start);
        reject_between(&text[at..start], first_line, &mut framed.rejects);
        match is_whole {
            true => framed.spans.push(Span { start, end, line: first_line }),
            false => {
                let reason = "is a Windows event without an end";
                framed.rejects.push(Reject::new(first_line, reason, &text[start..end]));
            }
        }
        (at, upcoming) = (end, next);
    }
    if is_last {
        reject_between(&text[at..], line_of(text.len()), &mut framed.rejects);
        at = text.len();
    }
    framed.consumed = at;
    framed
}

/// Start of the next event at or after `at`.
fn next_event(text: &[u8], at: usize) -> Option<usize> {
    let is_event = |place: &usize| {
        text.get(place + BEGIN.len()).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'>')
    };
    memchr::memmem::find_iter(&text[at..], BEGIN).map(|offset| at + offset).find(is_event)
}

/// Whether text is events: alone, in a list, or after headers of syslog.
pub(crate) fn are_events(text: &[u8], is_whole: bool) -> bool {
    if text.starts_with(REJECT.as_bytes()) {
        return true;
    }
    let Some(start) = next_event(text, 0) else { return false };
    let line = memchr::memrchr(b'\n', &text[..start]).map_or(0, |end| end + 1);
    let are_most = || {
        let framed = events(text, is_whole, b'\n');
        framed.spans.len() > framed.rejects.len()
    };
    is_markup(&text[..start]) || (is_header(&text[line..start]) && are_most())
}

fn is_markup(text: &[u8]) -> bool {
    let trimmed = text.trim_ascii();
    trimmed.is_empty() || (trimmed.starts_with(b"<") && trimmed.ends_with(b">"))
}

/// Whether text before an event is a header of syslog, and not a cell or the beginning of an object.
fn is_header(text: &[u8]) -> bool {
    let is_apart = text.last().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b':');
    is_apart && messages::is_record(text.trim_ascii_start()) && !text.contains(&b'{')
}

/// Rejects text between events that is not markup, and what an instruction says could not be read.
fn reject_between(text: &[u8], line: u64, rejects: &mut Vec<Reject>) {
    let mut rest = text;
    while let Some(start) = memchr::memmem::find(rest, REJECT.as_bytes()) {
        let said = &rest[start + REJECT.len()..];
        let end = memchr::memmem::find(said, REJECT_END.as_bytes()).unwrap_or(said.len());
        rejects.push(Reject::new(line, String::from_utf8_lossy(&said[..end]), b""));
        rest = said.get(end + REJECT_END.len()..).unwrap_or_default();
    }
    if !is_markup(rest) && !is_header(rest) {
        rejects.push(Reject::new(line, "is not a Windows event in XML", rest));
    }
}

/// Adds the fields of an event to `record`: those of its system part by their paths (`Provider.Name`), its own data by
/// their names.
///
/// # Errors
/// Why the text is not an event.
pub fn read<'a>(text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let mut event = EventFields { record, path: Vec::new(), data_name: None, unnamed: Vec::new() };
    // Where the text of an element begins that has no elements in it so far.
    let mut leaf = None;
    loop {
        let before = reader.buffer_position() as usize;
        let next = reader.read_event().map_err(|error| format!("is not a Windows event in XML: {error}"))?;
        match next {
            Event::Start(tag) => {
                event.open(&tag)?;
                leaf = Some(reader.buffer_position() as usize);
            }
            Event::Empty(tag) => {
                event.open(&tag)?;
                event.path.pop();
                leaf = None;
            }
            Event::End(_) => {
                if let Some(start) = leaf.take() {
                    event.leaf(unescaped(&text[start..before]));
                }
                event.path.pop();
            }
            Event::Eof if event.path.is_empty() => break,
            Event::Eof => return Err("is a Windows event without an end".to_owned()),
            _ => {}
        }
    }
    event.finish();
    Ok(())
}

fn unescaped(raw: &str) -> Cow<'_, str> {
    let quoted = raw.trim().strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>"));
    match quoted {
        Some(quoted) => Cow::Borrowed(quoted),
        // Characters that XML can't have, such as &#x1;, stay as they are written.
        None => quick_xml::escape::unescape(raw).unwrap_or(Cow::Borrowed(raw)),
    }
}

struct EventFields<'r, 'a> {
    record: &'r mut Record<'a>,
    /// The open elements.
    path: Vec<String>,
    /// The name of the data that is open.
    data_name: Option<String>,
    /// Values of data without names.
    unnamed: Vec<Cow<'a, str>>,
}

impl<'a> EventFields<'_, 'a> {
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
        self.path.push(name);
        self.data_name = None;
        let is_system = self.section() == Some("System");
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| format!("is not a Windows event in XML: {error}"))?;
            let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
            let is_namespace = attribute.key.as_ref().starts_with(b"xmlns");
            let Ok(value) = attribute.unescape_value() else { continue };
            match (key.as_str(), self.path.last()) {
                _ if is_namespace || value.is_empty() => {}
                ("Name", _) if !is_system => self.data_name = Some(value.into_owned()),
                (_, Some(element)) if is_system => {
                    self.push(Cow::Owned(format!("{element}.{key}")), Cow::Owned(value.into_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The part of the event that is open.
    fn section(&self) -> Option<&str> {
        let is_section =
            |name: &&String| matches!(name.as_str(), "System" | "EventData" | "UserData" | "RenderingInfo");
        self.path.iter().find(is_section).map(String::as_str)
    }

    /// Takes the text of the innermost element.
    fn leaf(&mut self, text: Cow<'a, str>) {
        let name = self.data_name.take();
        let Some(element) = self.path.last().cloned() else { return };
        if text.trim().is_empty() || self.path.len() < 2 {
            return;
        }
        match (name, self.section()) {
            (Some(name), _) => self.push(Cow::Owned(name), text),
            (None, Some("EventData")) if element == "Data" => self.unnamed.push(text),
            (None, Some("RenderingInfo")) if element != "Message" => {
                self.push(Cow::Owned(format!("RenderingInfo.{element}")), text);
            }
            (None, _) => self.push(Cow::Owned(element), text),
        }
    }

    /// Adds a field. A name that is already in use gets the event's part or a number, so that no field hides another.
    fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let is_used = |name: &str| self.record.iter().any(|(used, _)| used == name);
        let name = match is_used(&name) {
            false => name,
            true => {
                let data = format!("EventData.{name}");
                let numbered = (2..).map(|number| format!("{name}_{number}"));
                let free = std::iter::once(data).chain(numbered).find(|free| !is_used(free));
                free.map_or(name, Cow::Owned)
            }
        };
        self.record.push((name, value));
    }

    fn finish(mut self) {
        match self.unnamed.len() {
            0 => {}
            1 => {
                let value = self.unnamed.remove(0);
                self.push(Cow::Borrowed("Data"), value);
            }
            _ => {
                let list = serde_json::to_string(&self.unnamed).unwrap_or_default();
                self.push(Cow::Borrowed("Data"), Cow::Owned(list));
            }
        }
    }
}
