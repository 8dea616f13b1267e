//! Documents and probes (contract 15, 28.1–28.2).

use reqwest::Method;

use crate::harness::Gateway;

#[tokio::test]
async fn the_root_says_what_is_there() {
    let gateway = Gateway::with("").await;
    let root = gateway.send(gateway.bare(Method::GET, "/")).await.ok();
    assert_eq!(root["message"], "athena is online");
    for field in ["version", "athena_api", "athena_deadpool", "athena_scylladb"] {
        assert!(root[field].is_string(), "{field}: {root}");
    }
    assert_eq!(root["athena_scylladb"], "offline", "no client speaks CQL");
    let routes = root["routes"].as_array().unwrap();
    for path in ["/gateway/fetch", "/gateway/insert", "/openapi.yaml", "/openapi-wss.yaml", "/docs"] {
        assert!(routes.iter().any(|route| route["path"] == path), "{path} in {routes:?}");
    }
    // What is listed is served.
    for route in routes {
        for method in route["methods"].as_array().unwrap() {
            let method: Method = method.as_str().unwrap().parse().unwrap();
            let path = route["path"].as_str().unwrap();
            let answer = no_redirect()
                .request(method.clone(), format!("{}{path}", gateway.base))
                .send()
                .await
                .unwrap();
            assert_ne!(answer.status(), 404, "{method} {path}");
        }
    }
}

fn no_redirect() -> reqwest::Client {
    crate::harness::http().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn documents_are_served() {
    let gateway = Gateway::with("").await;
    let docs = no_redirect().get(format!("{}/docs", gateway.base)).send().await.unwrap();
    assert_eq!(docs.status(), 308);
    assert_eq!(docs.headers()["location"], "https://xylex.group/docs/athena");
    for path in ["/openapi.yaml", "/openapi-wss.yaml"] {
        let answer = gateway.send(gateway.bare(Method::GET, path)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/yaml; charset=utf-8"));
        assert!(answer.text.contains("openapi: "), "{}", &answer.text[..200]);
        assert_eq!(gateway.send(gateway.bare(Method::POST, path)).await.status, 404);
    }
    let spec = gateway.send(gateway.bare(Method::GET, "/openapi.yaml")).await.text;
    for path in [
        "/gateway/fetch:",
        "/gateway/update:",
        "/gateway/insert:",
        "/gateway/delete:",
        "/gateway/query:",
        "/gateway/rpc:",
        "/query/sql:",
        "/openapi.yaml:",
        "/docs:",
    ] {
        assert!(spec.contains(path), "{path}");
    }
    let reference = gateway.send(gateway.bare(Method::GET, "/reference")).await;
    assert_eq!(reference.status, 200);
    assert!(!reference.text.contains("src=\"http"), "the reference needs no other host");
}

#[tokio::test]
async fn probes_answer() {
    let gateway = Gateway::with("").await;
    for path in ["/ping", "/livez", "/readyz", "/health", "/ready"] {
        let answer = gateway.send(gateway.bare(Method::GET, path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    assert_eq!(gateway.send(gateway.bare(Method::GET, "/ping")).await.text, "pong");
    for (method, path) in
        [(Method::GET, "/nope"), (Method::GET, "/gateway/fetch"), (Method::POST, "/gateway/fetch/")]
    {
        let answer = gateway.send(gateway.bare(method, path)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"], "The requested resource was not found");
    }
}
