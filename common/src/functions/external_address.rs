//! Which addresses lie outside private space.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::text::{OfDictionary, Tested, test_each};

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

/// True where the text is an address outside private space; false or null for the rest, null included.
pub fn is_external(address: Expr, space: &PrivateSpace) -> Expr {
    ScalarUDF::from(IsExternal {
        signature: Signature::any(1, Volatility::Immutable),
        space: space.clone(),
        of_dictionary: OfDictionary::default(),
    })
    .call(vec![address])
}

#[derive(Debug)]
struct IsExternal {
    signature: Signature,
    space: PrivateSpace,
    of_dictionary: OfDictionary<Tested>,
}

impl PartialEq for IsExternal {
    fn eq(&self, other: &Self) -> bool {
        self.space == other.space
    }
}

impl Eq for IsExternal {}

impl Hash for IsExternal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.space.hash(state);
    }
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
        test_each(&args, &self.of_dictionary, |addresses| {
            let is_external =
                |address: Option<&str>| address.is_some_and(|text| self.space.is_external(text));
            addresses.iter().map(|address| Some(is_external(address))).collect::<BooleanArray>()
        })
    }
}
