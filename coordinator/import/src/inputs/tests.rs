//! Tests that files and folders are listed, and read as text from any compression.

use std::fs;
use std::sync::atomic::Ordering;

use super::*;

/// The names of the listed files below `folder`, and their texts; or the error of a file.
async fn read(folder: &std::path::Path, names: &[&str]) -> Result<Vec<(String, Result<String>)>> {
    let paths: Vec<String> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    let inputs = list(&paths, 2, &Arc::default()).await?;
    let root = format!("{}/", folder.display());
    let read = move || {
        let text_of = |input: &Input| -> Result<String> {
            let mut text = String::new();
            input.open()?.read_to_string(&mut text).map_err(Error::io("reading"))?;
            Ok(text)
        };
        let name_of = |input: &Input| input.name.trim_start_matches(&root).to_owned();
        inputs
            .iter()
            .map(|(input, listed)| {
                (name_of(input), listed.as_ref().map_or_else(|_| Ok(String::new()), |()| text_of(input)))
            })
            .collect()
    };
    Ok(tokio::task::spawn_blocking(read).await.unwrap())
}

/// A zip archive of files with these names, each with the text `a`.
fn zipped(names: &[&str]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for name in names {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"a").unwrap();
    }
    archive.finish().unwrap().into_inner()
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
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    archive.add_directory("logs/", zip::write::SimpleFileOptions::default()).unwrap();
    archive.start_file("logs/a.json", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(text.as_bytes()).unwrap();
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
        ("zip", archive.finish().unwrap().into_inner()),
        ("utf16", [b"\xff\xfe".to_vec(), utf16.clone()].concat()),
        ("gzip-utf16", gzipped(&[b"\xff\xfe".to_vec(), utf16].concat())),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
        let found = read(folder.path(), &[name]).await.unwrap();
        assert_eq!(found[0].1.as_ref().unwrap(), text, "{name}");
    }
}

#[tokio::test]
async fn archives_that_cannot_be_imported_say_why() {
    let folder = tempfile::tempdir().unwrap();
    for (content, reason) in [
        (zipped(&["a.json", "b.json"]), "the archive holds 2 files"),
        (zipped(&["[Content_Types].xml", "xl/workbook.xml"]), "Excel workbook"),
        (b"PK\x03\x04 is cut".to_vec(), "zip"),
        (b"PAR1 is cut".to_vec(), "can't be read as Parquet"),
    ] {
        fs::write(folder.path().join("file"), content).unwrap();
        let found = read(folder.path(), &["file"]).await.unwrap();
        let error = found[0].1.as_ref().unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        assert!(error.to_string().to_lowercase().contains(&reason.to_lowercase()), "{reason}: {error}");
    }
    // What macOS adds to an archive does not count.
    fs::write(folder.path().join("mac.zip"), zipped(&["a.json", "__MACOSX/a.json"])).unwrap();
    assert_eq!(read(folder.path(), &["mac.zip"]).await.unwrap()[0].1.as_ref().unwrap(), "a");
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
