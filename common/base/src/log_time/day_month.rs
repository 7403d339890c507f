//! Dates such as 3/5/2026, in which day and month may be in either order.

use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whether day or month comes first in numeric dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// 5/3/2026 is 5 March.
    DayFirst,
    /// 5/3/2026 is 3 May.
    MonthFirst,
}

impl DateOrder {
    /// Both orders, by their names in arguments and configurations.
    pub const NAMES: [(&'static str, Self); 2] =
        [("day-first", DateOrder::DayFirst), ("month-first", DateOrder::MonthFirst)];

    /// The order in words.
    pub fn words(self) -> &'static str {
        match self {
            DateOrder::DayFirst => "the day first",
            DateOrder::MonthFirst => "the month first",
        }
    }
}

impl FromStr for DateOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        let order = known.map(|(_, order)| *order);
        order
            .ok_or_else(|| Error::Invalid(format!("{text:?} is not an order: give day-first or month-first")))
    }
}

/// Day and month in the order of the text, and the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayMonth {
    /// The first number of the text.
    pub first: u32,
    /// The second number.
    pub second: u32,
    /// The year.
    pub year: i32,
}

impl DayMonth {
    /// The date in an order, if it exists.
    pub fn date(self, order: DateOrder) -> Option<NaiveDate> {
        let (day, month) = match order {
            DateOrder::DayFirst => (self.first, self.second),
            DateOrder::MonthFirst => (self.second, self.first),
        };
        NaiveDate::from_ymd_opt(self.year, month, day)
    }

    /// The date, if it is the same in both orders.
    pub fn only_date(self) -> Option<NaiveDate> {
        self.date(DateOrder::DayFirst).filter(|_| self.first == self.second)
    }

    /// The order that the date proves, because it does not exist in the other.
    pub fn proof(self) -> Option<DateOrder> {
        match (self.date(DateOrder::DayFirst), self.date(DateOrder::MonthFirst)) {
            (Some(_), None) => Some(DateOrder::DayFirst),
            (None, Some(_)) => Some(DateOrder::MonthFirst),
            _ => None,
        }
    }

    /// Whether it is a date in any order.
    pub(crate) fn is_possible(self) -> bool {
        self.date(DateOrder::DayFirst).or(self.date(DateOrder::MonthFirst)).is_some()
    }

    /// Whether the two orders give different dates.
    pub fn is_open(self) -> bool {
        self.first != self.second && self.proof().is_none() && self.date(DateOrder::DayFirst).is_some()
    }

    /// The dates of both orders in words, such as `3 May or 5 March`, for a date that [`DayMonth::is_open`].
    pub fn meanings(self) -> String {
        let date = |order| self.date(order).map_or(String::new(), |date| date.format("%-d %B").to_string());
        format!("{} or {}", date(DateOrder::DayFirst), date(DateOrder::MonthFirst))
    }
}
