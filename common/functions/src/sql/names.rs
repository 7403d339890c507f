//! Names of entities in their canonical form.

use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::Expr;

use super::Documented;
use super::short_form::{Expansion, ShortForm};

pub(super) const FORMS: &[ShortForm] = &[
    name(
        "canonical_address",
        "The canonical text of an IP address, without a port; null if the text is not an address.",
        |text| crate::canonical_address(text[0].clone()),
    ),
    name(
        "address_or_text",
        "As canonical_address, but other text stays as it is; null if it is empty or `<null>`.",
        |text| crate::address_or_text(text[0].clone()),
    ),
    name("canonical_host", "The short, lower-cased name of a host; null if it is empty.", |text| {
        crate::canonical_host(text[0].clone())
    }),
    name("lowered_name", "Trimmed, lower-cased text; null if it is empty or `<null>`.", |text| {
        crate::lowered_name(text[0].clone())
    }),
    name(
        "account_name",
        "The account of a user name, lower-cased, without its domain; null if it is empty.",
        |text| crate::account_name(text[0].clone()),
    ),
    name("initiator", "Who acted, from `InitiatedBy` of an audit row; null if it names nobody.", |text| {
        crate::initiator(text[0].clone())
    }),
    name(
        "initiator_address",
        "The canonical address in `InitiatedBy` of an audit row; null if it has none.",
        |text| crate::initiator_address(text[0].clone()),
    ),
    name(
        "extended_user_agent",
        "The user agent in ExtendedProperties of an OfficeActivity row; null if they have none.",
        |text| crate::extended_user_agent(text[0].clone()),
    ),
    name(
        "storage_account",
        "The lower-cased account of a `<account>.blob.core.windows.net` URL or host; null for other text.",
        |text| crate::storage_account(text[0].clone()),
    ),
    name(
        "registered_domain",
        "The part of a host name that somebody registered, lower-cased: one label below a suffix of the Public Suffix List, private \
         suffixes (dynamic DNS, hosting, delivery networks) included. Null for addresses, and for names that no server on the Internet \
         answers: without a dot, below a top-level domain that the list lacks (`.local`, `.lan`), and below `.arpa` and `.onion`.",
        |text| crate::registered_domain(text[0].clone()),
    ),
    name(
        "subdomain",
        "What a host name has below its registered domain, lower-cased; null if there is nothing, or no such domain.",
        |text| crate::subdomain(text[0].clone()),
    ),
    name(
        "record_type",
        "The name of a DNS record type, from its number or name: `TXT` for `16`; `TYPE` and the number if it has no name. Null if it is \
         empty.",
        |text| crate::record_type(text[0].clone()),
    ),
    name(
        "response_code",
        "The name of a DNS response code, from its number or name: `NXDOMAIN` for `3`. Null if it is empty.",
        |text| crate::response_code(text[0].clone()),
    ),
    of_texts(
        "json_text",
        &[("json", "text"), ("key", "text")],
        "The value of a key of a JSON object, as text; null if the text is no object with that key, or if its value is null, a list or \
         an object.",
        |texts| crate::json_text(texts[0].clone(), texts[1].clone()),
    ),
    name(
        "destination_name",
        "The lower-cased name of the host in a URL, `host:port` or host, without a trailing dot; null if it is an address, has a single \
         label or is no name.",
        |text| crate::destination_name(text[0].clone()),
    ),
    of_texts(
        "office_address",
        &[("client_ip_address", "text"), ("client_ip", "text")],
        "The address of an OfficeActivity row, without a port: Client_IPAddress if it has one, else ClientIP.",
        |texts| {
            let addresses = texts.iter().cloned().map(crate::address_or_text);
            coalesce(addresses.collect())
        },
    ),
];

const fn name(name: &'static str, doc: &'static str, expand: fn(&[Expr]) -> Expr) -> ShortForm {
    of_texts(name, &[("text", "text")], doc, expand)
}

const fn of_texts(
    name: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    doc: &'static str,
    expand: fn(&[Expr]) -> Expr,
) -> ShortForm {
    ShortForm::new(Documented { name, arguments, result: "text", doc }, Expansion::OfAny(expand))
}
