//! The pattern of the names of one level of folders: text, parts of a time, and anything.

use std::fmt;

use chrono::NaiveDate;

/// First and last year of a folder: other numbers are something else.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2200;

/// The pattern of a folder's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
    Any,
}

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `%Y`.
    Year,
    /// `%m`.
    Month,
    /// `%d`.
    Day,
    /// `%H`.
    Hour,
    /// `%M`.
    Minute,
    /// `%S`.
    Second,
}

/// What the folders above and at a level say about the date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DateParts {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
}

const FIELDS: [Field; 6] = [Field::Year, Field::Month, Field::Day, Field::Hour, Field::Minute, Field::Second];

impl Field {
    fn letter(self) -> char {
        match self {
            Self::Year => 'Y',
            Self::Month => 'm',
            Self::Day => 'd',
            Self::Hour => 'H',
            Self::Minute => 'M',
            Self::Second => 'S',
        }
    }

    fn digits(self) -> usize {
        if self == Self::Year { 4 } else { 2 }
    }

    fn accepts(self, number: u32) -> bool {
        match self {
            Self::Year => YEARS.contains(&number),
            Self::Month => (1..=12).contains(&number),
            Self::Day => (1..=31).contains(&number),
            Self::Hour => number <= 23,
            Self::Minute | Self::Second => number <= 59,
        }
    }

    /// Whether it is a part of the date rather than of the time of day.
    pub fn is_of_date(self) -> bool {
        matches!(self, Self::Year | Self::Month | Self::Day)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        };
        write!(formatter, "{name} (%{})", self.letter())
    }
}

impl Pattern {
    /// The folders that Hindcast writes.
    pub fn standard() -> Self {
        let text = |text: &str| Piece::Text(text.to_owned());
        let [year, month, day] = [Field::Year, Field::Month, Field::Day].map(Piece::Field);
        Self(vec![text("date="), year, text("-"), month, text("-"), day])
    }

    /// One part of a time.
    pub fn of_field(field: Field) -> Self {
        Self(vec![Piece::Field(field)])
    }

    /// This pattern as the value of `key`, if there is one.
    pub fn of_key(mut self, key: Option<&str>) -> Self {
        if let Some(key) = key {
            self.0.insert(0, Piece::Text(format!("{key}=")));
        }
        self
    }

    /// This pattern with anything in place of parts of a time.
    pub fn without_fields(&self) -> Self {
        let piece = |piece: &Piece| match piece {
            Piece::Field(_) => Piece::Any,
            other => other.clone(),
        };
        Self(self.0.iter().map(piece).collect())
    }

    /// The folder `key=`, whose value is in the folders below.
    pub fn key(key: &str) -> Self {
        Self(vec![Piece::Text(format!("{key}="))])
    }

    /// Any folder `key=value`.
    pub fn any_value_of(key: &str) -> Self {
        Self(vec![Piece::Text(format!("{key}=")), Piece::Any])
    }

    /// Any folder.
    pub fn any() -> Self {
        Self(vec![Piece::Any])
    }

    /// The pattern that `text` describes: `%Y`, `%m`, `%d`, `%H`, `%M` and `%S` are parts of a time, and `*` is anything.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the name of a folder is empty".into());
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            let piece = match next {
                '*' => Piece::Any,
                '%' => {
                    let letter = rest.next();
                    let field = FIELDS.into_iter().find(|field| Some(field.letter()) == letter);
                    let letter = letter.map(String::from).unwrap_or_default();
                    Piece::Field(
                        field.ok_or_else(|| format!("%{letter} is none of %Y, %m, %d, %H, %M and %S"))?,
                    )
                }
                _ => {
                    plain.push(next);
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The parts of a time in it, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(*field),
            Piece::Text(_) | Piece::Any => None,
        })
    }

    /// What the folder `name` adds to `known`; `None` if the name does not fit.
    pub fn matched(&self, name: &str, known: DateParts) -> Option<DateParts> {
        // A number alone in a name may lack leading zeros.
        let is_alone = self.fields().count() == 1;
        matched(&self.0, name, known, is_alone)
    }
}

fn matched(pieces: &[Piece], name: &str, known: DateParts, is_alone: bool) -> Option<DateParts> {
    let Some((piece, rest)) = pieces.split_first() else { return name.is_empty().then_some(known) };
    match piece {
        Piece::Text(text) => matched(rest, name.strip_prefix(text.as_str())?, known, is_alone),
        Piece::Any => {
            let ends = (0..=name.len()).rev().filter(|end| name.is_char_boundary(*end));
            ends.filter_map(|end| matched(rest, &name[end..], known, is_alone)).next()
        }
        Piece::Field(field) => {
            let found = name.bytes().take(field.digits()).take_while(u8::is_ascii_digit).count();
            if found == 0 || (found < field.digits() && !(is_alone && *field != Field::Year)) {
                return None;
            }
            let (digits, name) = name.split_at(found);
            let number = digits.parse().ok().filter(|number| field.accepts(*number))?;
            matched(rest, name, known.with(*field, number), is_alone)
        }
    }
}

impl DateParts {
    fn with(mut self, field: Field, number: u32) -> Self {
        match field {
            Field::Year => self.year = Some(number),
            Field::Month => self.month = Some(number),
            Field::Day => self.day = Some(number),
            Field::Hour | Field::Minute | Field::Second => {}
        }
        self
    }

    /// The date, if all its parts are known and the calendar has it.
    pub fn date(self) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(i32::try_from(self.year?).ok()?, self.month?, self.day?)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => formatter.write_str(text),
            Piece::Field(field) => write!(formatter, "%{}", field.letter()),
            Piece::Any => formatter.write_str("*"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date_in(pattern: &str, name: &str) -> Option<String> {
        let parts = Pattern::parse(pattern).unwrap().matched(name, DateParts::default())?;
        parts.date().map(|date| date.to_string())
    }

    #[test]
    fn names_of_folders_give_dates() {
        let date = Some("2026-01-05".to_owned());
        for (pattern, name) in [
            ("date=%Y-%m-%d", "date=2026-01-05"),
            ("eventDay=%Y%m%d", "eventDay=20260105"),
            ("timestamp=%Y-%m-%dT%H", "timestamp=2026-01-05T08"),
            ("*=%Y-%m-%d %H:00", "ts=2026-01-05 08:00"),
            ("*%Y%m%d", "day-20260105"),
        ] {
            assert_eq!(date_in(pattern, name), date, "{pattern} {name}");
        }
        for (pattern, name) in [
            ("date=%Y-%m-%d", "date=2026-1-5"),
            ("date=%Y-%m-%d", "date=2026-13-05"),
            ("date=%Y-%m-%d", "date=2026-02-30"),
            ("date=%Y-%m-%d", "date=2026-01-05T08"),
            ("date=%Y-%m-%d", "Date=2026-01-05"),
            ("dt=%Y%m%d", "dt=00010105"),
            ("date=%Y-%m-%d", "date=+026-01-05"),
        ] {
            assert_eq!(date_in(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn a_number_alone_needs_no_leading_zero() {
        let mut parts = DateParts::default();
        for (pattern, name) in [("year=%Y", "year=2026"), ("month=%m", "month=1"), ("day=%d", "day=05")] {
            assert_eq!(parts.date(), None);
            parts = Pattern::parse(pattern).unwrap().matched(name, parts).unwrap();
        }
        assert_eq!(parts.date().map(|date| date.to_string()), Some("2026-01-05".to_owned()));
        for (pattern, name) in [("year=%Y", "year=26"), ("month=%m", "month=13"), ("day=%d", "day=005")] {
            assert!(Pattern::parse(pattern).unwrap().matched(name, parts).is_none(), "{name}");
        }
    }
}
