//! Tables with deletion vectors.

use super::*;

/// A deletion vector in its serialised form: the portable format of 64-bit roaring bitmaps, after a magic number.
fn vector(rows: &[u16]) -> Vec<u8> {
    let mut bytes = 1_681_511_377_u32.to_le_bytes().to_vec();
    bytes.extend(1_u64.to_le_bytes());
    // The bitmap of the low halves: one container, an array of 16-bit numbers.
    bytes.extend([0_u32, 12_346, 1].map(u32::to_le_bytes).concat());
    bytes.extend([0_u16, rows.len() as u16 - 1].map(u16::to_le_bytes).concat());
    bytes.extend(16_u32.to_le_bytes());
    rows.iter().for_each(|row| bytes.extend(row.to_le_bytes()));
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Base 85 in the form Z85.
fn z85(bytes: &[u8]) -> String {
    const DIGITS: &[u8] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    let words = padded.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap()));
    let digits = words
        .flat_map(|word| (0..5).rev().map(move |place| DIGITS[(word / 85_u32.pow(place) % 85) as usize]));
    digits.map(char::from).collect()
}

/// The file of two deletion vectors, and the offset of the second.
fn vectors_file(first: &[u16], second: &[u16]) -> (Vec<u8>, usize) {
    let mut file = vec![1];
    let mut offset = 0;
    for rows in [first, second] {
        offset = file.len();
        let own = vector(rows);
        file.extend((own.len() as u32).to_be_bytes());
        file.extend(&own);
        file.extend(crc32(&own).to_be_bytes());
    }
    (file, offset)
}

#[tokio::test]
async fn deleted_rows_are_not_read() {
    let written = Written::new().with_features(&["deletionVectors"]);
    let uuid: [u8; 16] = std::array::from_fn(|place| place as u8 + 1);
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    let (content, offset) = vectors_file(&[1], &[0, 4, 5, 6, 7, 9]);
    fs::write(written.path(&format!("ab/deletion_vector_{name}.bin")), &content).unwrap();
    let mut stored = written.file("a.parquet", "2026-01-05", 10);
    stored["add"]["deletionVector"] = json!({
        "storageType": "u", "pathOrInlineDv": format!("ab{}", z85(&uuid)), "offset": offset,
        "sizeInBytes": vector(&[0, 4, 5, 6, 7, 9]).len(), "cardinality": 6
    });
    let mut inline = written.file("b.parquet", "2026-01-06", 3);
    let own = vector(&[0, 2]);
    inline["add"]["deletionVector"] = json!({
        "storageType": "i", "pathOrInlineDv": z85(&own), "sizeInBytes": own.len(), "cardinality": 2
    });
    let mut lost = written.file("c.parquet", "2026-01-07", 3);
    lost["add"]["deletionVector"] = json!({
        "storageType": "u", "pathOrInlineDv": z85(&[9; 16]), "offset": 1, "sizeInBytes": 30, "cardinality": 1
    });
    let mut miscounted = inline.clone();
    miscounted["add"]["path"] = "d.parquet".into();
    miscounted["add"]["deletionVector"]["cardinality"] = 1.into();
    fs::copy(written.path("b.parquet"), written.path("d.parquet")).unwrap();
    written.commit(0, &[stored, inline, lost, miscounted]);
    let table = written.latest().await;
    let found = files(&table);
    let file = |name: &str| found.iter().find(|(_, file)| file.path.ends_with(name)).unwrap().1.clone();
    let first = file("/a.parquet");
    assert_eq!(operations(&table, &first, None).await.unwrap(), ["1", "2", "3", "8"]);
    assert_eq!(operations(&table, &file("/b.parquet"), None).await.unwrap(), ["1"]);
    // Ranges cut the file between row groups, and groups that can't hold a value are left out.
    let half = first.bytes / 2;
    let mut ranged = Vec::new();
    for range in [(0, half), (half, first.bytes)] {
        ranged.extend(
            operations(&table, &first.clone().with(|file| file.range = Some(range)), None).await.unwrap(),
        );
    }
    assert_eq!(ranged, ["1", "2", "3", "8"]);
    let groups =
        row_groups_that_may_hold(&table, &first, &["OperationName"], |_, value| value == "8").await.unwrap();
    assert_eq!(operations(&table, &first, Some(&groups)).await.unwrap(), ["8"]);
    for (name, hint) in
        [("/c.parquet", "its deletion vector"), ("/d.parquet", "deletes 2 rows, and the log says 1")]
    {
        let error = operations(&table, &file(name), None).await.unwrap_err();
        assert!(matches!(&error, Error::Input(fault) if fault.file.ends_with(name)), "{error}");
        assert!(error.to_string().contains(hint), "{error}");
    }
}
