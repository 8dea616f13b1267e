//! Pages that go on from a state of the server's own.

use athena_application::ports::Reason;
use athena_domain::plan::CqlPlan;
use athena_domain::plan::cql::{CqlPage, CqlRead, Restriction};

use super::{filled, is, read};

/// A state that the server cannot read, or that another statement has made, is the caller's fault and nobody else's.
#[tokio::test]
async fn a_state_that_is_none_is_refused() {
    let Some((bench, table)) = filled().await else { return };
    let page = |reads: Vec<Vec<Restriction>>, from: Option<&[u8]>| {
        let page = CqlPage { size: 30, from: from.map(Into::into) };
        CqlPlan::Read(CqlRead { page: Some(page), ..read(&table, reads) })
    };
    let one = || vec![vec![is(0, 1)]];
    let (done, sink) = bench.run(page(one(), None)).await.unwrap();
    assert_eq!((done.rows, sink.rows.len()), (30, 30));
    let next = done.next.unwrap();
    assert_eq!(bench.run(page(one(), Some(&next))).await.unwrap().1.rows[0], r#"{"n":30,"part":1}"#);
    let mut random = 88_172_645_463_325_252_u64;
    let mut garbage = move |length: usize| -> Vec<u8> {
        let mut byte = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as u8
        };
        [0, 0].into_iter().chain((0..length).map(|_| byte())).collect()
    };
    for length in [1, 2, 3, 8, 17, 40, 200, 3000] {
        for _ in 0..5 {
            let state = garbage(length);
            match bench.run(page(one(), Some(&state))).await {
                // It may be a place all the same, of which nobody loses anything: the seal keeps callers from making one.
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.reason(), Some(Reason::Cursor), "{state:?}: {:?}", error.source)
                }
            }
        }
    }
    for cut in 2..next.len() {
        if let Err(error) = bench.run(page(one(), Some(&next[..cut]))).await {
            assert_eq!(error.reason(), Some(Reason::Cursor), "{cut}: {:?}", error.source);
        }
    }
    for short in [&[][..], &[0], &[0, 1], &[255, 255, 1]] {
        let error = bench.run(page(one(), Some(short))).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::Cursor), "{short:?}");
    }
    // The session is none the worse for it.
    bench.run(page(one(), Some(&next))).await.unwrap();
}
