//! Tests that files and folders are listed, and read as text from any compression.

use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use super::*;

/// The names of the listed files below `folder`, and their texts; or the error of a file.
async fn read(folder: &std::path::Path, names: &[&str]) -> Result<Vec<(String, Result<String, String>)>> {
    let paths: Vec<String> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    let inputs = list(&paths, 2, &Arc::default()).await?;
    let root = format!("{}/", folder.display());
    let read = move || {
        let text_of = |(input, listed): (Input, Result<()>)| {
            listed.map_err(|error| error.to_string())?;
            let mut text = String::new();
            let (mut stream, _) = input.open().map_err(|error| error.to_string())?;
            stream.read_to_string(&mut text).map_err(|error| format!("{text}| {error}"))?;
            Ok(text)
        };
        let name_of = |input: &Input| input.name.trim_start_matches(&root).to_owned();
        inputs.into_iter().map(|listed| (name_of(&listed.0), text_of(listed))).collect()
    };
    Ok(tokio::task::spawn_blocking(read).await.unwrap())
}

/// A zip archive of files with these names and contents.
fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A tar archive of files with these names and contents, and a folder.
fn tarred(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, content) in [("./logs/", &b""[..])].iter().chain(files) {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mtime(1_767_600_000);
        let is_folder = name.ends_with('/');
        header.set_entry_type(if is_folder {
            ::tar::EntryType::Directory
        } else {
            ::tar::EntryType::Regular
        });
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn xzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_folder_is_listed_without_hidden_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    for (name, text) in
        [("b/2.json", "2"), ("a.json", "1"), (".hidden", "x"), ("b/_SUCCESS", ""), ("c.json", "3")]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let found = read(folder.path(), &[""]).await.unwrap();
    let found: Vec<(&str, &str)> =
        found.iter().map(|(name, text)| (name.as_str(), text.as_ref().unwrap().as_str())).collect();
    assert_eq!(found, [("a.json", "1"), ("b/2.json", "2"), ("c.json", "3")]);
    let missing = read(folder.path(), &["none"]).await.unwrap_err().to_string();
    assert!(missing.starts_with("there is no file ") && missing.contains("none"), "{missing}");
}

#[tokio::test]
async fn compressed_files_are_read_as_their_text() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"a\":\"müller\"}\n";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let two_members = [gzipped(b"{\"a\":"), gzipped("\"müller\"}\n".as_bytes())].concat();
    for (name, content) in [
        ("plain", text.as_bytes().to_vec()),
        ("gzip", gzipped(text.as_bytes())),
        ("members", two_members),
        ("zstd", zstd::encode_all(text.as_bytes(), 1).unwrap()),
        ("bzip2", bzipped(text.as_bytes())),
        ("bzip2-members", [bzipped(b"{\"a\":"), bzipped("\"müller\"}\n".as_bytes())].concat()),
        ("xz", xzipped(text.as_bytes())),
        ("xz-streams", [xzipped(b"{\"a\":"), xzipped("\"müller\"}\n".as_bytes())].concat()),
        ("twice", bzipped(&gzipped(text.as_bytes()))),
        ("zip", zipped(&[("logs/a.json", text.as_bytes())])),
        ("tar", tarred(&[("./logs/a.json", text.as_bytes())])),
        ("zip-utf16", zipped(&[("a.json", &[&b"\xff\xfe"[..], &utf16].concat())])),
        ("tar-utf16-without-mark", tarred(&[("a.json", &utf16.repeat(99))])),
        ("utf16", [b"\xff\xfe".to_vec(), utf16.clone()].concat()),
        ("gzip-utf16", gzipped(&[b"\xff\xfe".to_vec(), utf16].concat())),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
        let found = read(folder.path(), &[name]).await.unwrap();
        let repeats = if name.ends_with("mark") { 99 } else { 1 };
        assert_eq!(found[0].1.as_ref().unwrap(), &text.repeat(repeats), "{name}");
    }
}

/// Asserts what the files of an archive are, and which can't be read, by the start of the reason.
async fn assert_files(archive: &[u8], wanted: &[(&str, std::result::Result<&str, &str>)]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), archive).unwrap();
    let found = read(folder.path(), &["a"]).await.unwrap();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for ((name, found), (_, wanted)) in found.iter().zip(wanted) {
        match (found, wanted) {
            (Ok(text), Ok(wanted)) => assert_eq!(text, wanted, "{name}"),
            (Err(reason), Err(wanted)) => assert!(reason.contains(wanted), "{name}: {reason}"),
            (found, wanted) => panic!("{name}: {found:?}, not {wanted:?}"),
        }
    }
}

#[tokio::test]
async fn each_file_of_an_archive_is_a_file() {
    let names = ["b/c.csv", "b/", "d.json.gz", "__MACOSX/b/c.csv", "b/.DS_Store", "_SUCCESS", "e.csv"];
    let gzip = gzipped(b"2");
    let files: Vec<(&str, &[u8])> =
        names.iter().map(|name| (*name, if name.ends_with("gz") { gzip.as_slice() } else { b"1" })).collect();
    let without_folder: Vec<_> = files.iter().copied().filter(|(name, _)| *name != "b/").collect();
    let wanted = [("a/b/c.csv", Ok("1")), ("a/d.json.gz", Ok("2")), ("a/e.csv", Ok("1"))];
    let tar = tarred(&without_folder);
    for archive in [
        zipped(&files),
        gzipped(&tar),
        bzipped(&tar),
        xzipped(&tar),
        zstd::encode_all(tar.as_slice(), 1).unwrap(),
        gzipped(&zipped(&files)),
        tar,
    ] {
        assert_files(&archive, &wanted).await;
    }
}

#[tokio::test]
async fn archives_are_read_within_archives() {
    let inner = zipped(&[("x.csv", b"1"), ("y.csv", b"2")]);
    let tar = gzipped(&tarred(&[("z.csv", b"3"), ("in.zip", &inner), ("last.csv", b"4")]));
    let outer = zipped(&[("first.csv", b"0"), ("t.tgz", &tar), ("in.zip", &inner)]);
    let wanted = [
        ("a/first.csv", Ok("0")),
        ("a/t.tgz/z.csv", Ok("3")),
        ("a/t.tgz/in.zip/x.csv", Ok("1")),
        ("a/t.tgz/in.zip/y.csv", Ok("2")),
        ("a/t.tgz/last.csv", Ok("4")),
        ("a/in.zip/x.csv", Ok("1")),
        ("a/in.zip/y.csv", Ok("2")),
    ];
    assert_files(&outer, &wanted).await;
    let mut deep = zipped(&[("x.csv", b"1")]);
    for _ in 0..layers::MAX_LAYERS {
        deep = zipped(&[("d.zip", &deep)]);
    }
    assert_files(&deep, &[("a", Err("is within more than 6 archives"))]).await;
}

#[tokio::test]
async fn a_file_of_an_archive_that_cannot_be_read_costs_only_itself() {
    let long = format!("{}/c.csv", "long".repeat(40));
    let long_name = format!("a/{long}");
    let mut zip = zipped(&[("b.csv", b"good"), ("c.csv", b"wrong"), ("d.csv", b"fine")]);
    let at = zip.windows(5).position(|bytes| bytes == b"c.csv").unwrap() + 6;
    zip[at] ^= 0x55;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), &zip).unwrap();
    let found = read(folder.path(), &["a"]).await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(found[0].1.is_ok() && found[1].1.is_err() && found[2].1.is_ok(), "{found:?}");

    let tar = tarred(&[("b.csv", b"good"), (&long, &b"x".repeat(2_000)), ("d.csv", b"fine")]);
    let all = [("a/b.csv", Ok("good")), (&long_name, Ok(&"x".repeat(2_000)[..])), ("a/d.csv", Ok("fine"))];
    assert_files(&tar, &all).await;
    // Two blocks of zeros end it; a block of the last file, and its header, are before them.
    let end = tar.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 - 512;
    let in_long = format!("{}| ", "x".repeat(1_536));
    let cut = [("a/b.csv", Ok("good")), (&long_name, Err(in_long.as_str())), ("a", Err("after the first 2"))];
    assert_files(&tar[..end - 512], &cut).await;
    let mut damaged = tar;
    damaged[end] ^= 1;
    assert_files(&damaged, &[all[0], all[1], ("a", Err("its files after the first 2"))]).await;
}

#[tokio::test]
async fn archives_that_cannot_be_imported_say_why() {
    let book = zipped(&[("[Content_Types].xml", b"a"), ("xl/workbook.xml", b"b")]);
    assert_files(&book, &[("a", Err("save its rows as CSV"))]).await;
    let mixed = zipped(&[("b.xlsx", &book), ("c.csv", b"1")]);
    assert_files(&mixed, &[("a/b.xlsx", Err("Excel workbook")), ("a/c.csv", Ok("1"))]).await;
    assert_files(b"PK\x03\x04 is cut", &[("a", Err("a: "))]).await;
    assert_files(&zipped(&[(".hidden", b"1")]), &[("a", Err("holds no files"))]).await;
    let parquet = zipped(&[("b", b"PAR1 is cut"), ("c", b"1")]);
    assert_files(&parquet, &[("a/b", Err("can't be read as Parquet")), ("a/c", Ok("1"))]).await;
}

/// Zeros, which compress to a thousandth.
struct Bomb(u64);

impl Read for Bomb {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.0).unwrap());
        buffer[..length].fill(0);
        self.0 -= length as u64;
        Ok(length)
    }
}

#[test]
fn an_archive_bomb_is_refused() {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for name in ["a.csv", "b.csv"] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        io::copy(&mut Bomb(8 << 20), &mut archive).unwrap();
    }
    let bomb = archive.finish().unwrap().into_inner();
    let mut read = 0;
    let mut visit = |member: Member<'_>| {
        if let Ok(mut content) = member.content {
            read += io::copy(&mut content, &mut io::sink()).unwrap_or_default();
        }
        Ok(())
    };
    let walked = archive::walk_within(Box::new(io::Cursor::new(bomb)), 9 << 20, &mut visit);
    let Err(Stop::Refused(reason)) = walked else { panic!("{walked:?}") };
    assert!(reason.contains("expands to more than 9.00 MiB"), "{reason}");
    assert_eq!(read, 8 << 20);
}

/// Files of an archive can be opened in any order, several at a time, and again.
#[tokio::test]
async fn files_of_an_archive_are_opened_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> =
        (0..5_u8).map(|n| (format!("{n}"), vec![b'0' + n; 300_000])).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    fs::write(folder.path().join("a"), gzipped(&tarred(&files))).unwrap();
    let inputs = list(&[folder.path().join("a").display().to_string()], 1, &Arc::default()).await.unwrap();
    let inputs: Vec<Input> = inputs.into_iter().map(|(input, _)| input).collect();
    assert_eq!(inputs[1].content, blake3::hash(&[b'1'; 300_000]).to_hex().as_str());
    assert_eq!((inputs[1].bytes, inputs[1].modified_us), (300_000, 1_767_600_000_000_000));
    let work = move || {
        let mut parts = Vec::new();
        for index in [0, 1, 3, 2, 4, 0, 4] {
            let mut first = inputs[index].open().unwrap().0;
            let mut second = inputs[index].open().unwrap().0;
            let mut text = Vec::new();
            // What is not read to its end does not stop the files behind it.
            second.read_exact(&mut [0; 10]).unwrap();
            drop(second);
            first.read_to_end(&mut text).unwrap();
            parts.push((text.len(), text[299_999]));
        }
        parts
    };
    let parts = tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(parts, [0, 1, 3, 2, 4, 0, 4].map(|n: u8| (300_000, b'0' + n)));
}

#[tokio::test]
async fn equal_contents_have_equal_hashes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a", "same"), ("b", "same"), ("c", "other")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let bytes_read = Arc::default();
    let inputs = list(&[folder.path().display().to_string()], 2, &bytes_read).await.unwrap();
    let hashes: Vec<&str> = inputs.iter().map(|(input, _)| input.content.as_str()).collect();
    assert_eq!(hashes[0], blake3::hash(b"same").to_hex().as_str());
    assert!(hashes[0] == hashes[1] && hashes[0] != hashes[2]);
    assert_eq!(bytes_read.load(Ordering::Relaxed), 0);
}
