//! The host that a URL names, and the storage account.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::text_argument;

const BLOB_HOST_SUFFIX: &str = ".blob.core.windows.net";
/// Bytes of the longest name of the DNS (RFC 1035).
const LONGEST_NAME: usize = 253;

/// The lower-cased account of a `<account>.blob.core.windows.net` URL or host; null for any other.
pub fn storage_account(url: Expr) -> Expr {
    ScalarUDF::from(StorageAccount { signature: Signature::any(1, Volatility::Immutable) }).call(vec![url])
}

/// The host of a lower-cased URL, `host:port` or host, without a trailing dot.
fn host_of(lowered: &str) -> Option<&str> {
    let after_scheme = lowered.split_once("://").map_or(lowered, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next()?;
    let after_login = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    Some(after_login.split(':').next()?.trim_end_matches('.'))
}

/// The lower-cased name of the host in a URL, `host:port` or host; `None` if it is an address, has a single label or is no name.
pub(super) fn destination_name_of(text: &str) -> Option<String> {
    let lowered = text.trim().to_lowercase();
    if lowered.parse::<IpAddr>().is_ok() {
        return None;
    }
    let host = host_of(&lowered)?;
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|sign| sign.is_alphanumeric() || matches!(sign, '-' | '_'))
    };
    let (_, top) = host.rsplit_once('.')?;
    let is_name = host.len() <= LONGEST_NAME && host.split('.').all(is_label);
    // The last label of no name is a number; that of an address is.
    (is_name && !top.chars().all(|sign| sign.is_ascii_digit())).then(|| host.to_owned())
}

fn account_of(url: &str) -> Option<String> {
    let lowered = url.to_ascii_lowercase();
    let account = host_of(&lowered)?.strip_suffix(BLOB_HOST_SUFFIX)?;
    // A private endpoint adds a label: account.privatelink.blob.core.windows.net.
    account.split('.').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StorageAccount {
    signature: Signature,
}

impl ScalarUDFImpl for StorageAccount {
    fn name(&self) -> &str {
        "storage_account"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let urls = text_argument(&args, 0)?;
        let accounts: StringViewArray = (0..urls.len())
            .map(|row| urls.is_valid(row).then(|| account_of(urls.value(row))).flatten())
            .collect();
        Ok(ColumnarValue::Array(Arc::new(accounts)))
    }
}

#[cfg(test)]
mod tests {
    use super::{account_of, destination_name_of};

    #[test]
    fn names_come_from_urls_and_hosts_and_addresses_are_no_names() {
        for (text, name) in [
            ("HTTPS://User:pw@Www.Example.com:8443/a?b#c", "www.example.com"),
            ("www.example.com:443", "www.example.com"),
            (" cdn_1.example.com. ", "cdn_1.example.com"),
            ("example.com/a@b", "example.com"),
            ("bücher.example", "bücher.example"),
        ] {
            assert_eq!(destination_name_of(text).as_deref(), Some(name), "{text}");
        }
        let none = [
            "",
            "-",
            "intranet",
            "10.0.0.1",
            "http://192.0.2.1:80/a",
            "2001:db8::1",
            "[2001:db8::1]:443",
            "a..b",
            "a b.example",
        ];
        for text in none.iter().chain(&["1.2.3", "https://[2001:db8::1]/", "<null>", ".example"]) {
            assert_eq!(destination_name_of(text), None, "{text}");
        }
    }

    #[test]
    fn accounts_come_from_hosts_and_urls() {
        assert_eq!(account_of("https://Loot01.blob.core.windows.net/c/x?sig=1").as_deref(), Some("loot01"));
        assert_eq!(account_of("loot01.blob.core.windows.net:443").as_deref(), Some("loot01"));
        assert_eq!(account_of("a.privatelink.blob.core.windows.net").as_deref(), Some("a"));
        assert_eq!(account_of("https://u:p@loot01.blob.core.windows.net./x").as_deref(), Some("loot01"));
        assert_eq!(account_of("loot01.blob.core.windows.net#f").as_deref(), Some("loot01"));
        assert_eq!(account_of("s3.amazonaws.com/bucket"), None);
    }
}
