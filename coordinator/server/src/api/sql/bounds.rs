//! Limits the length and the complexity of a statement. The check reads the statement as a sequence of tokens, so that deep nesting does not affect it.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use hindcast_base::{Error, Result};

/// Longest statement, in bytes.
const STATEMENT_BYTES: usize = 64 << 10;
/// Most operators, keywords and opening brackets of a statement: each may add one level of nesting. A list of values has one.
const MOST_OPERATORS: usize = 1_000;

/// Refuses a statement that is too long or too complex to be planned.
///
/// # Errors
/// [`Error::Invalid`] naming the limit, or the invalid token.
pub(super) fn check(sql: &str) -> Result<()> {
    if sql.len() > STATEMENT_BYTES {
        return Err(Error::Invalid(format!(
            "the statement has {} bytes: {STATEMENT_BYTES} at most are allowed",
            sql.len()
        )));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    let tokens = tokens.map_err(|error| Error::Invalid(format!("SQL error: {error}")))?;
    let operators = tokens.iter().filter(|token| may_nest(token)).count();
    if operators > MOST_OPERATORS {
        return Err(Error::Invalid(format!(
            "the statement has {operators} operators, keywords and brackets: {MOST_OPERATORS} at most are allowed"
        )));
    }
    Ok(())
}

fn may_nest(token: &Token) -> bool {
    match token {
        Token::Word(Word { keyword, quote_style, .. }) => {
            quote_style.is_none()
                && !matches!(keyword, Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE)
        }
        Token::Whitespace(_) | Token::Comma | Token::Period | Token::RParen | Token::RBracket => false,
        Token::Number(..) | Token::Placeholder(_) | Token::SemiColon | Token::EOF => false,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::EscapedStringLiteral(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_accepted_and_long_chains_are_refused() {
        let list: Vec<String> = (0..5_000).map(|number| format!("'id{number}'")).collect();
        check(&format!("SELECT * FROM findings WHERE id IN ({})", list[..4_000].join(", "))).unwrap();
        let chains = [
            format!("SELECT 1{}", " + 1".repeat(2_000)),
            format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(1_000)),
            format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(1_000), " END".repeat(1_000)),
            format!("SELECT {}1{}", "NOT ".repeat(2_000), ""),
            format!("SELECT 1{}", "::int".repeat(2_000)),
            format!("SELECT a{} FROM t", "[1]".repeat(2_000)),
        ];
        for sql in chains {
            let refused = check(&sql).unwrap_err();
            assert_eq!(refused.kind(), hindcast_base::ErrorKind::InvalidInput);
            assert!(refused.to_string().contains("1000 at most"), "{refused}");
        }
        let refused = check(&format!("SELECT '{}'", "x".repeat(70_000))).unwrap_err();
        assert!(refused.to_string().contains("65536 at most"), "{refused}");
        assert!(check("SELECT 'open").is_err());
    }
}
