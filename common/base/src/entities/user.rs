//! Account names: `name`, `DOMAIN\name` and `name@domain`.

/// The parts of an account name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserName<'a> {
    /// The account, without its domain.
    pub account: &'a str,
    /// First label of the domain, if there is one: `CORP\ada` and `ada@corp.example` have the same.
    pub domain: Option<&'a str>,
}

impl<'a> UserName<'a> {
    /// Splits a lower-cased name.
    pub fn parse(lowered: &'a str) -> Self {
        let (account, domain) = match (lowered.rsplit_once('\\'), lowered.split_once('@')) {
            (Some((domain, account)), _) => (account, domain),
            (None, Some((account, domain))) => (account, domain),
            (None, None) => return Self { account: lowered, domain: None },
        };
        if account.is_empty() {
            return Self { account: lowered, domain: None };
        }
        let label = domain.split('.').next().filter(|label| !label.is_empty());
        Self { account, domain: label }
    }
}

#[cfg(test)]
mod tests {
    use super::UserName;

    #[test]
    fn both_forms_of_a_domain_are_parsed() {
        let parts = |text| {
            let name = UserName::parse(text);
            (name.account, name.domain)
        };
        assert_eq!(parts("corp\\ada"), ("ada", Some("corp")));
        assert_eq!(parts("ada@corp.example"), ("ada", Some("corp")));
        assert_eq!(parts("ada"), ("ada", None));
        assert_eq!(parts("@corp"), ("@corp", None));
        assert_eq!(parts("nt authority\\system"), ("system", Some("nt authority")));
    }
}
