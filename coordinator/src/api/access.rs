//! Who may do what: people by bearer tokens, workers by the name in their certificates.

use std::sync::Arc;

use hindcast_common::cluster::{comes_from_node, connection_slot_of};
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::settings::{Role, Token};

/// The tokens that are accepted.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    tokens: Vec<Token>,
}

impl AccessTokens {
    pub(super) fn new(tokens: &[Token]) -> Self {
        Self { tokens: tokens.to_vec() }
    }

    /// The name of whoever asks, where the token allows `role`; without configured tokens all may do all.
    pub(super) fn check(&self, metadata: &MetadataMap, role: Role) -> Result<String, Status> {
        if self.tokens.is_empty() {
            return Ok(String::new());
        }
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return Err(Status::unauthenticated("a bearer token is needed: --token-file or HINDCAST_TOKEN"));
        };
        match self.identify(token) {
            Some((name, allowed)) if allowed >= role => Ok(name.to_owned()),
            Some((name, _)) => {
                tracing::warn!(token = name, "refused: the token only allows reading");
                Err(Status::permission_denied("this token allows only reading"))
            }
            None => {
                tracing::warn!("refused: an unknown token");
                Err(Status::unauthenticated("the token is not known"))
            }
        }
    }

    /// Whose a token is, and what it allows.
    pub(crate) fn identify(&self, token: &str) -> Option<(&str, Role)> {
        // Hashes are compared, so the time it takes says nothing of the token.
        let hash: String = Sha256::digest(token.trim()).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = self.tokens.iter().find(|known| known.sha256.eq_ignore_ascii_case(&hash))?;
        Some((&known.name, known.role))
    }
}

/// Lets only nodes through, where certificates say who is one.
pub(super) fn require_node(
    is_checked: bool,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request: Request<()>| {
        if is_checked && !comes_from_node(&request) {
            tracing::warn!("refused: a client that is no node spoke to the scheduler");
            return Err(Status::permission_denied("only workers may speak to the scheduler"));
        }
        if let Some(slot) = connection_slot_of(&request) {
            slot.note_node_request();
        }
        Ok(request)
    }
}

/// Lets only those through who may read, before the rest of their request is taken. What else it needs is checked by who answers it.
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
