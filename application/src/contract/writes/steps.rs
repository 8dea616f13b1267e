//! The writes of the suite, in order: what a step writes, a later one may meet.

use super::Outcome::{self, Refused, RefusedSomehow, Rows};
use super::{Step, Verb};
use crate::ports::Reason;
use Verb::{Delete, Fetch, Insert, Update};

const fn step(name: &'static str, verb: Verb, request: &'static str, outcome: Outcome) -> Step {
    Step { name, verb, request, outcome }
}

pub(super) const STEPS: &[Step] = &[
    step(
        "a row, with a default, rounding and a hidden id",
        Insert,
        r#"{"table_name":"contract_items","insert_body":{"id":100,"name":"new","qty":1,"price":1.005,"tags":["x","y\"z"],
            "meta":{"k":null,"n":1.10},"born":"2024-05-05","seen":"2024-05-05T10:00:00+02:00"}}"#,
        Rows(
            r#"[{"id":100,"name":"new","qty":1,"price":1.01,"tags":["x","y\"z"],"meta":{"k":null,"n":1.10},
                "active":true,"born":"2024-05-05","seen":"2024-05-05T08:00:00+00:00"}]"#,
            1,
            "100",
        ),
    ),
    step(
        "null beats the default",
        Insert,
        r#"{"table_name":"contract_items","columns":"active","insert_body":{"id":101,"active":null}}"#,
        Rows(r#"[{"active":null}]"#, 1, "101"),
    ),
    step(
        "several rows: an absent key is null",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,name,active","insert_body":[{"id":103,"name":"m1"},{"id":102,"active":false}]}"#,
        Rows(r#"[{"id":103,"name":"m1","active":null},{"id":102,"name":null,"active":false}]"#, 2, "103,102"),
    ),
    step(
        "several rows: an absent key is the default",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,active","default_to_null":false,
            "insert_body":[{"id":104,"name":"d1"},{"id":105,"active":false},{"id":106,"active":null}]}"#,
        Rows(
            r#"[{"id":104,"active":true},{"id":105,"active":false},{"id":106,"active":null}]"#,
            3,
            "104,105,106",
        ),
    ),
    step(
        "several rows of arrays and json",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,tags,meta,price",
            "insert_body":[{"id":107,"tags":["a,b",null],"meta":[1],"price":"2"},{"id":108,"tags":[],"meta":"t","price":null}]}"#,
        Rows(
            r#"[{"id":107,"tags":["a,b",null],"meta":[1],"price":2.00},{"id":108,"tags":[],"meta":"t","price":null}]"#,
            2,
            "107,108",
        ),
    ),
    step(
        "text is never SQL",
        Insert,
        r#"{"table_name":"contract_items","columns":"name,tags","insert_body":{"id":109,
            "name":"'); DROP TABLE contract_items; -- $1 \\ \" \u00e9\ud83d\ude00\n","tags":["';--","{x}","\\",""]}}"#,
        Rows(
            r#"[{"name":"'); DROP TABLE contract_items; -- $1 \\ \" \u00e9\ud83d\ude00\n","tags":["';--","{x}","\\",""]}]"#,
            1,
            "109",
        ),
    ),
    step(
        "no rows in the answer",
        Insert,
        r#"{"table_name":"contract_items","head":true,"insert_body":{"id":110}}"#,
        Rows("[]", 1, ""),
    ),
    step(
        "a key of two columns has no id",
        Insert,
        r#"{"table_name":"contract_places","insert_body":{"land":"IT","town":"Rom"}}"#,
        Rows(r#"[{"land":"IT","town":"Rom","people":0,"note":null}]"#, 1, ""),
    ),
    step(
        "a duplicate of a unique column",
        Insert,
        r#"{"table_name":"contract_items","insert_body":[{"id":111,"name":"free"},{"id":112,"name":"apple"}]}"#,
        Refused(Reason::Unique, "contract_items_name_key"),
    ),
    step(
        "all or none",
        Fetch,
        r#"{"table_name":"contract_items","conditions":[{"operator":"in","column":"id","value":[111,112]}]}"#,
        Rows("[]", 0, ""),
    ),
    step(
        "a duplicate of the key",
        Insert,
        r#"{"table_name":"contract_items","insert_body":{"id":100}}"#,
        Refused(Reason::Unique, "contract_items_pkey"),
    ),
    step(
        "nulls are no duplicates",
        Insert,
        r#"{"table_name":"contract_items","columns":"id","insert_body":{"id":113,"name":null}}"#,
        Rows(r#"[{"id":113}]"#, 1, "113"),
    ),
    step(
        "a required value that is null",
        Insert,
        r#"{"table_name":"contract_places","insert_body":{"land":"IT","town":"Bari","people":null}}"#,
        Refused(Reason::NotNull, "people"),
    ),
    step(
        "a key that is absent",
        Insert,
        r#"{"table_name":"contract_items","insert_body":{"name":"no key"}}"#,
        Refused(Reason::NotNull, "id"),
    ),
    step(
        "a dry insert answers",
        Insert,
        r#"{"table_name":"contract_items","columns":"id","dry_run":true,"insert_body":{"id":114}}"#,
        Rows(r#"[{"id":114}]"#, 1, "114"),
    ),
    step(
        "and leaves nothing",
        Fetch,
        r#"{"table_name":"contract_items","conditions":[{"eq_column":"id","eq_value":114}]}"#,
        Rows("[]", 0, ""),
    ),
    step(
        "an upsert by the key changes what is given",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,name,qty","on_conflict":"id","insert_body":{"id":100,"name":"newer"}}"#,
        Rows(r#"[{"id":100,"name":"newer","qty":1}]"#, 1, "100"),
    ),
    step(
        "an upsert by a unique column changes the key too",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,name,qty","on_conflict":["name"],"insert_body":{"id":150,"name":"newer","qty":9}}"#,
        Rows(r#"[{"id":150,"name":"newer","qty":9}]"#, 1, "150"),
    ),
    step(
        "an upsert with values of its own",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,name,qty","on_conflict":"name","update_body":{"qty":10},
            "insert_body":{"id":151,"name":"newer","qty":11}}"#,
        Rows(r#"[{"id":150,"name":"newer","qty":10}]"#, 1, "150"),
    ),
    step(
        "an upsert that changes nothing answers with the row that is there",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,name,qty","on_conflict":{"constraint":"contract_items_name_key"},
            "update_body":{},"insert_body":{"id":152,"name":"newer","qty":12}}"#,
        Rows(r#"[{"id":150,"name":"newer","qty":10}]"#, 1, "150"),
    ),
    step(
        "an upsert without a target takes the key",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,qty","update_body":{"qty":13},"insert_body":{"id":150,"qty":1}}"#,
        Rows(r#"[{"id":150,"qty":13}]"#, 1, "150"),
    ),
    step(
        "an upsert that meets nothing inserts",
        Insert,
        r#"{"table_name":"contract_items","columns":"id,name,active","on_conflict":"name","insert_body":{"id":153,"name":"fresh"}}"#,
        Rows(r#"[{"id":153,"name":"fresh","active":true}]"#, 1, "153"),
    ),
    step(
        "an upsert of several rows inserts and changes",
        Insert,
        r#"{"table_name":"contract_places","on_conflict":"land,town",
            "insert_body":[{"land":"IT","town":"Rom","people":5},{"land":"IT","town":"Bari","people":6}]}"#,
        Rows(
            r#"[{"land":"IT","town":"Rom","people":5,"note":null},{"land":"IT","town":"Bari","people":6,"note":null}]"#,
            2,
            "",
        ),
    ),
    step(
        "an upsert may violate another index",
        Insert,
        r#"{"table_name":"contract_items","on_conflict":"id","insert_body":{"id":150,"name":"apple"}}"#,
        Refused(Reason::Unique, "contract_items_name_key"),
    ),
    step(
        "an upsert meets no row twice",
        Insert,
        r#"{"table_name":"contract_places","on_conflict":["town","land"],
            "insert_body":[{"land":"IT","town":"Pisa","people":1},{"land":"IT","town":"Pisa","people":2}]}"#,
        RefusedSomehow,
    ),
    step(
        "which leaves nothing",
        Fetch,
        r#"{"table_name":"contract_places","conditions":[{"eq_column":"town","eq_value":"Pisa"}]}"#,
        Rows("[]", 0, ""),
    ),
    step(
        "an update",
        Update,
        r#"{"table_name":"contract_items","columns":"id,qty,tags,meta,price,active,name",
            "set":{"qty":null,"tags":["z"],"meta":{"a":[true]},"price":"7.125","active":false},
            "conditions":[{"eq_column":"id","eq_value":150}]}"#,
        Rows(
            r#"[{"id":150,"qty":null,"tags":["z"],"meta":{"a":[true]},"price":7.13,"active":false,"name":"newer"}]"#,
            1,
            "",
        ),
    ),
    step(
        "an update of several rows leaves the unknown ones",
        Update,
        r#"{"table_name":"contract_items","columns":"id,born","set":{"born":"2000-01-01"},
            "conditions":[{"operator":"in","column":"id","value":[101,102,103]},{"operator":"neq","column":"active","value":true}]}"#,
        Rows(r#"[{"id":102,"born":"2000-01-01"}]"#, 1, ""),
    ),
    step(
        "an update of nothing",
        Update,
        r#"{"table_name":"contract_items","set":{"qty":1},"conditions":[{"eq_column":"id","eq_value":0}]}"#,
        Rows("[]", 0, ""),
    ),
    step(
        "an update without an answer",
        Update,
        r#"{"table_name":"contract_places","head":true,"set":{"note":"x"},"conditions":[{"eq_column":"land","eq_value":"IT"}]}"#,
        Rows("[]", 2, ""),
    ),
    step(
        "an update of more rows than allowed",
        Update,
        r#"{"table_name":"contract_places","max_affected":1,"set":{"note":"y"},"conditions":[{"eq_column":"land","eq_value":"IT"}]}"#,
        Refused(Reason::TooManyRows, "max_affected"),
    ),
    step(
        "an update of as many rows as allowed, dry",
        Update,
        r#"{"table_name":"contract_places","columns":"town,note","max_affected":2,"dry_run":true,"set":{"note":"z"},
            "conditions":[{"eq_column":"land","eq_value":"IT"}]}"#,
        Rows(r#"[{"town":"Bari","note":"z"},{"town":"Rom","note":"z"}]"#, 2, ""),
    ),
    step(
        "both left the rows alone",
        Fetch,
        r#"{"table_name":"contract_places","columns":"town,note","conditions":[{"eq_column":"land","eq_value":"IT"}],"sort_by":{"field":"town"}}"#,
        Rows(r#"[{"town":"Bari","note":"x"},{"town":"Rom","note":"x"}]"#, 0, ""),
    ),
    step(
        "an update to a duplicate",
        Update,
        r#"{"table_name":"contract_items","set":{"name":"apple"},"conditions":[{"eq_column":"id","eq_value":150}]}"#,
        Refused(Reason::Unique, "contract_items_name_key"),
    ),
    step(
        "an update to itself is no duplicate",
        Update,
        r#"{"table_name":"contract_items","columns":"id","set":{"name":"newer"},"conditions":[{"eq_column":"id","eq_value":150}]}"#,
        Rows(r#"[{"id":150}]"#, 1, ""),
    ),
    step(
        "an update to null where a value is required",
        Update,
        r#"{"table_name":"contract_places","set":{"people":null},"conditions":[{"eq_column":"land","eq_value":"IT"}]}"#,
        Refused(Reason::NotNull, "people"),
    ),
    step(
        "a dry delete",
        Delete,
        r#"{"table_name":"contract_items","columns":"id","resource_id":"150","dry_run":true}"#,
        Rows(r#"[{"id":150}]"#, 1, ""),
    ),
    step(
        "a delete of more rows than allowed",
        Delete,
        r#"{"table_name":"contract_items","max_affected":1,"conditions":[{"operator":"in","column":"id","value":[101,150]}]}"#,
        Refused(Reason::TooManyRows, "max_affected"),
    ),
    step(
        "a delete by id",
        Delete,
        r#"{"table_name":"contract_items","columns":"id,name","resource_id":150}"#,
        Rows(r#"[{"id":150,"name":"newer"}]"#, 1, ""),
    ),
    step(
        "a delete of nothing",
        Delete,
        r#"{"table_name":"contract_items","resource_id":"150"}"#,
        Rows("[]", 0, ""),
    ),
    step(
        "a delete by conditions",
        Delete,
        r#"{"table_name":"contract_items","columns":"id",
            "conditions":[{"gte_column":"id","gte_value":100},{"lt_column":"id","lt_value":107}]}"#,
        Rows(r#"[{"id":101},{"id":102},{"id":103},{"id":104},{"id":105},{"id":106}]"#, 6, ""),
    ),
    step(
        "a delete by a key of two columns",
        Delete,
        r#"{"table_name":"contract_places","columns":"town","conditions":[{"eq_column":"land","eq_value":"IT"},{"eq_column":"town","eq_value":"Rom"}]}"#,
        Rows(r#"[{"town":"Rom"}]"#, 1, ""),
    ),
    step(
        "what is left",
        Fetch,
        r#"{"table_name":"contract_items","columns":"id","conditions":[{"gte_column":"id","gte_value":100}],"sort_by":{"field":"id"}}"#,
        Rows(
            r#"[{"id":107},{"id":108},{"id":109},{"id":110},{"id":113},{"id":153},{"id":9007199254740993}]"#,
            0,
            "",
        ),
    ),
];
