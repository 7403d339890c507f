//! The storage account a URL names.

use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::text_argument;

const BLOB_HOST_SUFFIX: &str = ".blob.core.windows.net";

/// The lower-cased account of a `<account>.blob.core.windows.net` URL or host; null for any other.
pub fn storage_account(url: Expr) -> Expr {
    ScalarUDF::from(StorageAccount { signature: Signature::any(1, Volatility::Immutable) }).call(vec![url])
}

fn account_of(url: &str) -> Option<String> {
    let lowered = url.to_ascii_lowercase();
    let after_scheme = lowered.split_once("://").map_or(lowered.as_str(), |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next()?;
    let after_login = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let host = after_login.split(':').next()?.trim_end_matches('.');
    let account = host.strip_suffix(BLOB_HOST_SUFFIX)?;
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
    use super::account_of;

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
