//! Streams of bytes: with their beginning looked at, written by another thread, or kept in a temporary file.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::thread::JoinHandle;

use hindcast_base::catch_panic::panic_text;

/// The bytes of an input.
pub type Bytestream = Box<dyn Read + Send>;

/// Fills `buffer` as far as the reader has bytes. Returns the number of bytes, and the error that followed them.
pub fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The first bytes of `stream`, at most `most`, and the whole stream. An error within them comes after them.
pub fn peeked<'s>(
    mut stream: Box<dyn Read + Send + 's>,
    most: usize,
) -> (Vec<u8>, Box<dyn Read + Send + 's>) {
    let mut head = vec![0; most];
    let (length, failure) = read_up_to(&mut stream, &mut head);
    head.truncate(length);
    let whole = Cursor::new(head.clone()).chain(Failing(failure)).chain(stream);
    (head, Box::new(whole))
}

/// A reader that fails once, if it has an error, and then ends.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The rest of `stream` in a temporary file, at its start. The file has no name, and ends with the handle.
///
/// # Errors
/// If the stream fails, or the file can't be written.
pub(crate) fn spooled(stream: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(stream, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// A reader of what `write` writes on a separate thread. An error of `write` is returned after its bytes.
///
/// # Errors
/// If there can be no pipe.
pub fn piped(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> io::Result<Bytestream> {
    let (receiver, mut sender) = io::pipe()?;
    let writer = std::thread::spawn(move || write(&mut sender));
    Ok(Box::new(Piped { receiver, writer: Some(writer) }))
}

struct Piped {
    receiver: io::PipeReader,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.receiver.read(buffer)?;
        if length == 0
            && !buffer.is_empty()
            && let Some(writer) = self.writer.take()
        {
            let panicked = |panic: &str| Err(io::Error::other(format!("its decoder panicked: {panic}")));
            writer.join().unwrap_or_else(|panic| panicked(panic_text(&*panic)))?;
        }
        Ok(length)
    }
}
