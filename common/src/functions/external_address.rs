//! Which addresses lie outside private space.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::text::text_argument;

/// The networks that count as inside, and exceptions that count as outside nonetheless.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateSpace {
    /// Networks whose addresses are not external.
    pub private: Vec<IpNet>,
    /// Networks inside private space that are external all the same (a laboratory's attacker, a partner's link).
    pub declared_external: Vec<IpNet>,
}

impl PrivateSpace {
    /// Whether `text` is a valid address outside private space. IPv4-mapped IPv6 counts as its IPv4.
    pub fn is_external(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else {
            return false;
        };
        let address = address.to_canonical();
        self.declared_external.iter().any(|net| net.contains(&address))
            || !self.private.iter().any(|net| net.contains(&address))
    }
}

/// True where the text is an address outside private space; false for the rest, null included.
pub fn is_external(address: Expr, space: &PrivateSpace) -> Expr {
    ScalarUDF::from(IsExternal {
        signature: Signature::any(1, Volatility::Immutable),
        space: space.clone(),
    })
    .call(vec![address])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IsExternal {
    signature: Signature,
    space: PrivateSpace,
}

impl ScalarUDFImpl for IsExternal {
    fn name(&self) -> &str {
        "is_external"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let addresses = text_argument(&args, 0)?;
        let external: BooleanArray = (0..addresses.len())
            .map(|row| Some(!addresses.is_null(row) && self.space.is_external(addresses.value(row))))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(external)))
    }
}
