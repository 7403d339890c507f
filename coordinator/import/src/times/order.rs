//! What the values of a field mean together: the order of day and month in dates such as 3/5/2026, and days of a
//! spreadsheet.

use std::collections::{BTreeMap, HashMap};

use hindcast_base::log_time::{DateOrder, DayMonth};

/// A date and its line in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: u64,
    text: String,
    date: DayMonth,
}

/// Evidence from the dates of a field.
#[derive(Debug, Default)]
struct OfField {
    /// The first date that proves that the day comes first.
    day_first: Option<Place>,
    /// The first date that proves that the month comes first.
    month_first: Option<Place>,
    /// The first date that is ambiguous.
    open: Option<Place>,
    /// Numbers that are not times since 1970.
    counted: Counted,
    /// Whether rows use times of the field.
    is_used: bool,
}

/// Numbers of a field that count from a start.
#[derive(Debug, Default)]
struct Counted {
    /// The smallest and the largest, in millionths.
    range: Option<(i64, i64)>,
    has_fraction: bool,
}

/// Evidence from the dates of a file, by field.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    fields: BTreeMap<String, OfField>,
}

/// What the values of a file's fields mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meanings {
    /// The order of day and month, by field.
    pub(super) orders: HashMap<String, DateOrder>,
    /// The smallest and the largest of the numbers that count from a start, in millionths, by field. Some have a
    /// fraction.
    pub(super) counted: HashMap<String, (i64, i64)>,
}

impl Evidence {
    /// Adds a date of `field`, written as `text` in line `line` (from 1). `proof` is the order that the date proves, by
    /// itself or with another time of its record.
    pub(super) fn add(
        &mut self,
        field: &str,
        (line, text): (u64, &str),
        date: DayMonth,
        proof: Option<DateOrder>,
        is_used: bool,
    ) {
        let of_field = self.of_field(field);
        of_field.is_used |= is_used;
        let place = match proof {
            Some(DateOrder::DayFirst) => &mut of_field.day_first,
            Some(DateOrder::MonthFirst) => &mut of_field.month_first,
            None if date.is_open() => &mut of_field.open,
            None => return,
        };
        place.get_or_insert_with(|| Place { line, text: text.to_owned(), date });
    }

    /// Adds a number of `field`, in millionths.
    pub(super) fn add_number(&mut self, field: &str, millionths: i64) {
        let counted = &mut self.of_field(field).counted;
        let (least, most) = counted.range.unwrap_or((millionths, millionths));
        counted.range = Some((least.min(millionths), most.max(millionths)));
        counted.has_fraction |= millionths % 1_000_000 != 0;
    }

    fn of_field(&mut self, field: &str) -> &mut OfField {
        self.fields.entry(field.to_owned()).or_default()
    }

    /// Decides the order in each field: the one that its own dates prove, otherwise the one that dates of other fields
    /// prove.
    ///
    /// # Errors
    /// The contradiction, or the date whose order nothing proves.
    pub(super) fn decide(&self) -> Result<Meanings, String> {
        let proven = |of_field: &OfField| match (&of_field.day_first, &of_field.month_first) {
            (Some(_), None) => Some(DateOrder::DayFirst),
            (None, Some(_)) => Some(DateOrder::MonthFirst),
            _ => None,
        };
        let mut of_others: Vec<DateOrder> = self.fields.values().filter_map(proven).collect();
        of_others.sort_unstable();
        of_others.dedup();
        let mut orders = HashMap::new();
        for (field, of_field) in self.fields.iter().filter(|(_, of_field)| of_field.is_used) {
            if let (Some(day_first), Some(month_first)) = (&of_field.day_first, &of_field.month_first) {
                return Err(contradiction(field, day_first, month_first));
            }
            let of_others = if let [order] = of_others.as_slice() { Some(*order) } else { None };
            match (proven(of_field).or(of_others), &of_field.open) {
                (Some(order), _) => drop(orders.insert(field.clone(), order)),
                (None, Some(open)) => return Err(no_proof(field, open)),
                (None, None) => {}
            }
        }
        let counted = self.fields.iter().filter(|(_, of_field)| of_field.counted.has_fraction);
        let counted = counted.filter_map(|(field, of_field)| Some((field.clone(), of_field.counted.range?)));
        Ok(Meanings { orders, counted: counted.collect() })
    }
}

fn contradiction(field: &str, day_first: &Place, month_first: &Place) -> String {
    format!(
        "dates of {field} are in two orders: line {} ({:?}) has the day first, line {} ({:?}) the month; split the file \
                 by order, or give --dates day-first or --dates month-first to reject times in the other order",
        day_first.line, day_first.text, month_first.line, month_first.text
    )
}

fn no_proof(field: &str, open: &Place) -> String {
    format!(
        "line {}: {field} {:?} is {}, and no time in the file proves which; give --dates day-first or --dates \
                 month-first",
        open.line,
        open.text,
        open.date.meanings()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(dates: &[(&str, &str)]) -> Evidence {
        let mut evidence = Evidence::default();
        for (line, (field, text)) in (1..).zip(dates) {
            let parts: Vec<u32> = text.split('/').map(|part| part.parse().unwrap()).collect();
            let date = DayMonth { first: parts[0], second: parts[1], year: parts[2] as i32 };
            evidence.add(field, (line, text), date, date.proof(), true);
        }
        evidence
    }

    fn decided(dates: &[(&str, &str)]) -> Result<HashMap<String, DateOrder>, String> {
        evidence(dates).decide().map(|meanings| meanings.orders)
    }

    #[test]
    fn numbers_of_a_field_have_a_range_if_some_have_a_fraction() {
        let mut evidence = Evidence::default();
        for (field, millionths) in [("t", 46_086_278_000), ("t", 46_085_000_000), ("u", 7_000_000)] {
            evidence.add_number(field, millionths);
        }
        let counted = evidence.decide().unwrap().counted;
        assert_eq!(counted, HashMap::from([("t".to_owned(), (46_085_000_000, 46_086_278_000))]));
    }

    #[test]
    fn one_day_above_twelve_proves_the_order() {
        let orders = decided(&[("t", "1/3/2026"), ("t", "3/3/2026"), ("t", "13/3/2026")]).unwrap();
        assert_eq!(orders["t"], DateOrder::DayFirst);
        let orders = decided(&[("t", "1/3/2026"), ("t", "3/13/2026")]).unwrap();
        assert_eq!(orders["t"], DateOrder::MonthFirst);
        // Another field of the file proves it; a field's own proof has precedence.
        let orders = decided(&[("t", "1/3/2026"), ("u", "13/3/2026")]).unwrap();
        assert_eq!(orders["t"], DateOrder::DayFirst);
        let orders = decided(&[("t", "3/13/2026"), ("u", "13/3/2026")]).unwrap();
        assert_eq!((orders["t"], orders["u"]), (DateOrder::MonthFirst, DateOrder::DayFirst));
    }

    #[test]
    fn without_a_proof_the_user_must_decide() {
        assert_eq!(decided(&[("t", "3/3/2026")]).unwrap(), HashMap::new());
        assert_eq!(decided(&[("t", "13/13/2026"), ("t", "31/11/2026")]).unwrap(), HashMap::new());
        assert_eq!(
            decided(&[("t", "3/3/2026"), ("t", "1/3/2026")]).unwrap_err(),
            "line 2: t \"1/3/2026\" is 1 March or 3 January, and no time in the file proves which; give --dates day-first or --dates \
                 month-first"
        );
        assert!(decided(&[("t", "1/3/2026"), ("u", "13/3/2026"), ("v", "3/13/2026")]).is_err());
    }

    #[test]
    fn two_orders_in_one_field_are_named() {
        let message = decided(&[("t", "1/3/2026"), ("t", "13/3/2026"), ("t", "3/14/2026")]).unwrap_err();
        assert!(message.starts_with(
            "dates of t are in two orders: line 2 (\"13/3/2026\") has the day first, line 3 (\"3/14/2026\") the month"
        ));
    }
}
