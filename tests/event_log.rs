//! Writes small binary event logs (EVTX), so that tests need none of other people's.
//!
//! The layout is that of [MS-EVEN6] and of libevtx' description: a header, and chunks of 64 KiB with a checksum each.

const HEADER_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 65_536;
const CHUNK_HEADER_BYTES: usize = 512;
/// Windows' ticks of 100 ns from 1601 to 1970.
const TICKS_TO_1970: u64 = 116_444_736_000_000_000;

/// An element of XML: its name, attributes, and text or elements in it.
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: String,
    elements: Vec<Element>,
}

impl Element {
    pub fn new(name: &'static str, elements: Vec<Element>) -> Self {
        Self { name, attributes: Vec::new(), text: String::new(), elements }
    }

    pub fn text(name: &'static str, text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::new(name, Vec::new()) }
    }

    pub fn with(mut self, attribute: &'static str, value: &str) -> Self {
        self.attributes.push((attribute, value.to_owned()));
        self
    }

    /// Appends the tokens of the element to a chunk.
    fn write(&self, chunk: &mut Vec<u8>) {
        let more = if self.attributes.is_empty() { 0 } else { 0x40 };
        chunk.push(0x01 | more);
        let size_at = reserve(chunk);
        write_name(self.name, chunk);
        if !self.attributes.is_empty() {
            let list_at = reserve(chunk);
            for (index, (name, value)) in self.attributes.iter().enumerate() {
                chunk.push(if index + 1 < self.attributes.len() { 0x46 } else { 0x06 });
                write_name(name, chunk);
                write_value(value, chunk);
            }
            fill(chunk, list_at);
        }
        chunk.push(0x02);
        if !self.text.is_empty() {
            write_value(&self.text, chunk);
        }
        self.elements.iter().for_each(|element| element.write(chunk));
        chunk.push(0x04);
        fill(chunk, size_at);
    }
}

/// An event of a provider with data by name.
pub fn event(provider: &str, id: u32, time: &str, data: &[(&str, &str)]) -> Element {
    let system = vec![
        Element::new("Provider", Vec::new()).with("Name", provider),
        Element::text("EventID", &id.to_string()),
        Element::text("Level", "4"),
        Element::new("TimeCreated", Vec::new()).with("SystemTime", time),
        Element::text("EventRecordID", "7"),
        Element::new("Execution", Vec::new()).with("ProcessID", "4").with("ThreadID", "8"),
        Element::text("Channel", "Security"),
        Element::text("Computer", "ws-1.corp.example"),
    ];
    let data = data.iter().map(|(name, value)| Element::text("Data", value).with("Name", name)).collect();
    Element::new("Event", vec![Element::new("System", system), Element::new("EventData", data)])
}

/// A log with these events, in chunks of at most `per_chunk`.
pub fn log(events: &[Element], per_chunk: usize) -> Vec<u8> {
    let chunks: Vec<&[Element]> = events.chunks(per_chunk).collect();
    let mut log = vec![0; HEADER_BYTES];
    log[..8].copy_from_slice(b"ElfFile\0");
    put(&mut log, 16, &(chunks.len() as u64 - 1).to_le_bytes());
    put(&mut log, 24, &(events.len() as u64 + 1).to_le_bytes());
    put(&mut log, 32, &[128, 0, 0, 0, 1, 0, 3, 0, 0, 16]);
    put(&mut log, 42, &(chunks.len() as u16).to_le_bytes());
    let checksum = crc32(&log[..120]);
    put(&mut log, 124, &checksum.to_le_bytes());
    let mut first = 1;
    for chunk in chunks {
        log.extend(chunk_of(chunk, first));
        first += chunk.len() as u64;
    }
    log
}

/// The place of the text `wanted` in a log.
pub fn place_of(log: &[u8], wanted: &str) -> usize {
    let wanted: Vec<u8> = wanted.encode_utf16().flat_map(u16::to_le_bytes).collect();
    log.windows(wanted.len()).position(|part| part == wanted).expect("the text is in the log")
}

/// A chunk with events that have numbers from `first` on.
fn chunk_of(events: &[Element], first: u64) -> Vec<u8> {
    let mut chunk = vec![0; CHUNK_HEADER_BYTES];
    let mut last_at = 0;
    for (event, id) in events.iter().zip(first..) {
        last_at = chunk.len();
        chunk.extend([0x2a, 0x2a, 0, 0]);
        let size_at = reserve(&mut chunk);
        chunk.extend(id.to_le_bytes());
        chunk.extend((TICKS_TO_1970 + 1_767_600_000 * 10_000_000).to_le_bytes());
        chunk.extend([0x0f, 1, 1, 0]);
        event.write(&mut chunk);
        chunk.push(0);
        let size = (chunk.len() + 4 - last_at) as u32;
        chunk.extend(size.to_le_bytes());
        put(&mut chunk, size_at, &size.to_le_bytes());
    }
    let last = first + events.len() as u64 - 1;
    chunk[..8].copy_from_slice(b"ElfChnk\0");
    for (at, number) in [(8, first), (16, last), (24, first), (32, last)] {
        put(&mut chunk, at, &number.to_le_bytes());
    }
    let free = chunk.len();
    assert!(free <= CHUNK_BYTES, "too many events for a chunk");
    let checksum = crc32(&chunk[CHUNK_HEADER_BYTES..]);
    for (at, number) in [(40, 128), (44, last_at as u32), (48, free as u32), (52, checksum)] {
        put(&mut chunk, at, &number.to_le_bytes());
    }
    let header = [&chunk[..120], &chunk[128..CHUNK_HEADER_BYTES]].concat();
    put(&mut chunk, 124, &crc32(&header).to_le_bytes());
    chunk.resize(CHUNK_BYTES, 0);
    chunk
}

fn write_name(name: &str, chunk: &mut Vec<u8>) {
    // The name follows its place.
    let place = chunk.len() as u32 + 4;
    chunk.extend(place.to_le_bytes());
    chunk.extend([0; 6]);
    write_text(name, chunk);
    chunk.extend([0; 2]);
}

fn write_value(value: &str, chunk: &mut Vec<u8>) {
    chunk.extend([0x05, 0x01]);
    write_text(value, chunk);
}

fn write_text(text: &str, chunk: &mut Vec<u8>) {
    let units: Vec<u16> = text.encode_utf16().collect();
    chunk.extend((units.len() as u16).to_le_bytes());
    chunk.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

/// Room for a size, and its place.
fn reserve(chunk: &mut Vec<u8>) -> usize {
    chunk.extend([0; 4]);
    chunk.len() - 4
}

/// Puts the number of bytes behind `place`.
fn fill(chunk: &mut [u8], place: usize) {
    let size = (chunk.len() - place - 4) as u32;
    put(chunk, place, &size.to_le_bytes());
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
