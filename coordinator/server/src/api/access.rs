//! Access control: people have bearer tokens, workers have a certificate with the node name.

use std::sync::Arc;

use hindcast_node::{comes_from_node, connection_slot_of};
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::settings::{Role, Token};

/// The accepted tokens.
#[derive(Debug)]
pub struct AccessTokens {
    tokens: Vec<Token>,
}

impl AccessTokens {
    pub(super) fn new(tokens: &[Token]) -> Self {
        Self { tokens: tokens.to_vec() }
    }

    /// Checks that the token of a request allows `role` and returns the token's name. Without configured tokens everybody may do everything.
    pub(super) fn check(&self, metadata: &MetadataMap, role: Role) -> Result<String, Status> {
        if self.tokens.is_empty() {
            return Ok(String::new());
        }
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return Err(Status::unauthenticated(
                "a bearer token is required: give --token-file or HINDCAST_TOKEN",
            ));
        };
        match self.identify(token) {
            Some((name, allowed)) if allowed >= role => Ok(name.to_owned()),
            Some((name, _)) => {
                tracing::warn!(token = name, "refused: the token only allows reading");
                Err(Status::permission_denied("this token allows only reading"))
            }
            None => {
                tracing::warn!("refused: unknown token");
                Err(Status::unauthenticated("unknown token"))
            }
        }
    }

    /// The name and the role of a token.
    pub fn identify(&self, token: &str) -> Option<(&str, Role)> {
        // Compare hashes, so that the time of the comparison reveals nothing about the token.
        let hash: String = Sha256::digest(token.trim()).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = self.tokens.iter().find(|known| known.sha256.eq_ignore_ascii_case(&hash))?;
        Some((&known.name, known.role))
    }
}

/// Rejects requests that do not come from a node, if certificates identify nodes.
pub(super) fn require_node(
    is_checked: bool,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request: Request<()>| {
        if is_checked && !comes_from_node(&request) {
            tracing::warn!("refused: a client that is not a node called the scheduler");
            return Err(Status::permission_denied("only workers may call the scheduler"));
        }
        if let Some(slot) = connection_slot_of(&request) {
            slot.note_node_request();
        }
        Ok(request)
    }
}

/// Rejects requests without the role to read before their body is received. Each handler checks the role that it needs.
pub(super) fn require_token(
    tokens: Arc<AccessTokens>,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request: Request<()>| {
        tokens.check(request.metadata(), Role::Read)?;
        if let Some(slot) = connection_slot_of(&request) {
            slot.note_user_request();
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn hash_of(token: &str) -> String {
        Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn tokens() -> AccessTokens {
        let token =
            |name: &str, role| Token { name: name.into(), role, sha256: hash_of(name).to_uppercase() };
        AccessTokens::new(&[token("reader", Role::Read), token("submitter", Role::Submit)])
    }

    fn check(tokens: &AccessTokens, header: Option<&str>, role: Role) -> Result<String, Code> {
        let mut metadata = MetadataMap::new();
        if let Some(header) = header {
            metadata.insert("authorization", header.parse().unwrap());
        }
        tokens.check(&metadata, role).map_err(|status| status.code())
    }

    #[test]
    fn a_token_allows_its_role_and_less() {
        let tokens = tokens();
        let cases = [
            ("reader", Role::Read, Ok("reader".to_owned())),
            ("reader", Role::Submit, Err(Code::PermissionDenied)),
            ("submitter", Role::Read, Ok("submitter".to_owned())),
            ("submitter", Role::Submit, Ok("submitter".to_owned())),
            ("guess", Role::Read, Err(Code::Unauthenticated)),
            ("", Role::Read, Err(Code::Unauthenticated)),
        ];
        for (token, role, expected) in cases {
            assert_eq!(check(&tokens, Some(&format!("Bearer {token}")), role), expected, "{token} {role:?}");
        }
        assert_eq!(check(&tokens, None, Role::Read), Err(Code::Unauthenticated));
        assert_eq!(check(&tokens, Some("Basic reader"), Role::Read), Err(Code::Unauthenticated));
    }

    #[test]
    fn the_hash_itself_is_not_a_token() {
        let tokens = tokens();
        assert_eq!(tokens.identify("reader"), Some(("reader", Role::Read)));
        assert_eq!(tokens.identify(" reader\n"), Some(("reader", Role::Read)));
        assert_eq!(tokens.identify(&hash_of("reader")), None);
    }

    #[test]
    fn without_tokens_everybody_may_do_everything() {
        assert_eq!(check(&AccessTokens::new(&[]), None, Role::Submit), Ok(String::new()));
        // The interceptors let requests without certificates through if nodes have none.
        assert!(require_node(false)(Request::new(())).is_ok());
        assert_eq!(require_node(true)(Request::new(())).unwrap_err().code(), Code::PermissionDenied);
        let refused = require_token(Arc::new(tokens()))(Request::new(())).unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}
