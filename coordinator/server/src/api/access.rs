//! Access control: people have bearer tokens, workers have a certificate with the node name.

use std::sync::Arc;

use hindcast_node::{comes_from_node, connection_slot_of};
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::settings::{Role, Token};

/// The accepted tokens.
#[derive(Debug)]
pub(crate) struct AccessTokens {
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
