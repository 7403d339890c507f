//! One task of a names stage: reads state files and finds which of the wanted entities each of their rows names together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ident;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tracing::Instrument;

use super::stage::{NamesByFile, NamesStage, StateFault, StateRead, Task, encode_outcome};
use super::state_table::StateTable;
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::entities::{Entity, EntityKind, initiator_address_of, initiator_of};
use hindcast_base::retry::with_retries;
use hindcast_detections::analyses::{rollup, state_schema};
use hindcast_lake::{StateFile, open_location, task_session};
use hindcast_observability::TaskGuard;

/// Texts whose entities are remembered at most.
const REMEMBERED_TEXTS: usize = 1 << 20;

/// Starts the task of some state files. It returns one outcome, even if files can't be read.
pub(super) fn start(
    stage: Arc<NamesStage>,
    schema: SchemaRef,
    task: Task<StateRead>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let outcome_schema = Arc::clone(&schema);
    let origin = &stage.origin;
    let span = tracing::info_span!("names", job = origin.job, index = task.index);
    origin.adopt(&span);
    let outcome = async move {
        let guard = TaskGuard::start("merge");
        let outcome = read_all(&stage, &task.work, &context).await;
        guard.end(outcome.is_ok());
        encode_outcome(&outcome_schema, &outcome)
    };
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(outcome.instrument(span)))))
}

/// The names in all files of a task, or the files that can't be read.
async fn read_all(
    stage: &NamesStage,
    read: &StateRead,
    context: &Arc<TaskContext>,
) -> std::result::Result<NamesByFile, Vec<StateFault>> {
    let wanted = WantedEntities::of(&stage.wanted);
    let (mut names, mut faults) = (NamesByFile::new(), Vec::new());
    for file in &read.files {
        // The store may fail temporarily for a good file.
        let reading = with_retries(|| async { Ok(names_in(stage, read, file, &wanted, context).await?) });
        let reason = match catch_panic(reading).await {
            Ok(Ok(found)) => {
                names.insert(file.path.clone(), found);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("reading it panicked: {panic}"),
        };
        faults.push(StateFault { file: file.path.clone(), reason });
    }
    if faults.is_empty() { Ok(names) } else { Err(faults) }
}

/// The sets of entities that the rows of one file name.
async fn names_in(
    stage: &NamesStage,
    read: &StateRead,
    file: &StateFile,
    wanted: &WantedEntities,
    context: &TaskContext,
) -> Result<BTreeSet<BTreeSet<u32>>> {
    let session = task_session(context.runtime_env());
    let schema = state_schema(rollup(&stage.config, &read.rollup)?, &stage.config, &session)?;
    let texts = schema.fields().iter().filter(|field| is_text(field.data_type()));
    let texts: Vec<_> = texts.map(|field| ident(field.name())).collect();
    let mut found = BTreeSet::new();
    if texts.is_empty() {
        return Ok(found);
    }
    let state = open_location(&stage.state_url, context)?;
    let table = StateTable::new(schema, state, vec![file.clone()]);
    let mut batches = session.read_table(Arc::new(table))?.select(texts)?.execute_stream().await?;
    let mut memory = HashMap::new();
    while let Some(batch) = batches.next().await.transpose()? {
        let named = wanted.named_by(&batch, &mut memory)?;
        found.extend(named.into_iter().filter(|named| !named.is_empty()));
    }
    Ok(found)
}

/// Whether a type is text, or a dictionary of text.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// Entities, by kind and canonical name: their indices, and their full names.
type ByName = HashMap<(EntityKind, String), Vec<(u32, Option<String>)>>;

/// The wanted entities.
struct WantedEntities {
    kinds: BTreeSet<EntityKind>,
    by_name: ByName,
}

impl WantedEntities {
    fn of(wanted: &[Entity]) -> Self {
        let mut by_name = ByName::new();
        for (index, entity) in (0u32..).zip(wanted) {
            let names = by_name.entry((entity.kind, entity.name.clone())).or_default();
            names.push((index, entity.full_name.clone()));
        }
        Self { kinds: wanted.iter().map(|entity| entity.kind).collect(), by_name }
    }

    /// The entities that each row names in any of its columns. `memory` has what texts of earlier rows name.
    fn named_by(
        &self,
        batch: &RecordBatch,
        memory: &mut HashMap<String, Vec<u32>>,
    ) -> Result<Vec<BTreeSet<u32>>> {
        let mut rows = vec![BTreeSet::new(); batch.num_rows()];
        for column in batch.columns() {
            let texts = cast(column, &DataType::Utf8View).map_err(DataFusionError::from)?;
            let texts: &StringViewArray = texts.as_string_view();
            if memory.len() > REMEMBERED_TEXTS {
                memory.clear();
            }
            for (row, named) in rows.iter_mut().enumerate().filter(|(row, _)| texts.is_valid(*row)) {
                let text = texts.value(row);
                if !memory.contains_key(text) {
                    memory.insert(text.to_owned(), self.named_in(text));
                }
                named.extend(memory.get(text).into_iter().flatten());
            }
        }
        Ok(rows)
    }

    /// The entities that a text names. The text may be the JSON of who acted.
    fn named_in(&self, text: &str) -> Vec<u32> {
        let mut named = self.called(text);
        if text.trim_start().starts_with('{') {
            named.extend(initiator_of(text).iter().flat_map(|name| self.called(name)));
            named.extend(initiator_address_of(text).iter().flat_map(|name| self.called(name)));
        }
        named
    }

    /// The entities of any kind that a name stands for. A short name stands for all that have it.
    fn called(&self, name: &str) -> Vec<u32> {
        let mut called = Vec::new();
        for entity in self.kinds.iter().filter_map(|kind| Entity::of(*kind, name)) {
            let same_name = self.by_name.get(&(entity.kind, entity.name)).into_iter().flatten();
            let is_meant = |full_name: &Option<String>| match (full_name, &entity.full_name) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            called.extend(same_name.filter(|(_, full_name)| is_meant(full_name)).map(|(index, _)| *index));
        }
        called
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn wanted() -> WantedEntities {
        let named = [
            (EntityKind::Ip, "10.0.0.1"),
            (EntityKind::Ip, "203.0.113.9"),
            (EntityKind::User, r"CORP\ada"),
            (EntityKind::Device, "ws-1"),
        ];
        let wanted: Vec<Entity> = named.iter().map(|(kind, name)| Entity::of(*kind, name).unwrap()).collect();
        WantedEntities::of(&wanted)
    }

    #[test]
    fn a_row_names_entities_in_any_column_and_form() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("10.0.0.1:443"),
            Some("10.0.0.1"),
            Some("ws-1.corp.example"),
            None,
        ]));
        let others: DictionaryArray<Int32Type> =
            ["203.0.113.9", "192.0.2.1", "corp\\ada", "eve"].into_iter().collect();
        let others: ArrayRef = Arc::new(others);
        let rows = RecordBatch::try_from_iter_with_nullable([("a", texts, true), ("b", others, true)]);
        let named = wanted().named_by(&rows.unwrap(), &mut HashMap::new()).unwrap();
        let expected: Vec<BTreeSet<u32>> = vec![[0, 1].into(), [0].into(), [2, 3].into(), BTreeSet::new()];
        assert_eq!(named, expected);
    }

    #[test]
    fn a_user_of_another_domain_is_another_one_and_a_short_name_may_be_any() {
        let wanted = wanted();
        assert_eq!(wanted.called("ada"), [2]);
        assert_eq!(wanted.called(r"corp\ada"), [2]);
        assert!(wanted.called(r"lab\ada").is_empty());
    }

    #[test]
    fn who_acted_is_found_in_json() {
        let text = r#"{"user":{"userPrincipalName":"ada","ipAddress":"10.0.0.1"}}"#;
        assert_eq!(wanted().named_in(text), [2, 0]);
        assert!(wanted().named_in("{}").is_empty());
    }

    #[test]
    fn only_texts_name_entities() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert!(is_text(&dictionary) && is_text(&DataType::Utf8View));
        assert!(!is_text(Int64Array::from(vec![1]).data_type()));
    }
}
