//! `deploy/kubernetes`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use athena_rs::config::{Config, Environment};
use serde_json::Value;

use super::image;
use super::{
    available, check_grace, check_spool, check_variables, documents, list, map, number, path, read,
    server_options, text, words, yaml,
};

const DIRECTORY: &str = "deploy/kubernetes";

fn manifest(name: &str) -> Value {
    yaml(&format!("{DIRECTORY}/{name}.yaml"))
}

/// Template of the pods, and the only container in it.
fn pod() -> (Value, Value) {
    let pod = manifest("deployment")["spec"]["template"]["spec"].clone();
    let containers = list(&pod["containers"]);
    assert_eq!(containers.len(), 1);
    let container = containers[0].clone();
    (pod, container)
}

/// The variables of the Secret, which become those of the gateway.
fn secret() -> Vec<(String, String)> {
    let secret = manifest("secret.example");
    map(&secret["stringData"]).iter().map(|(name, value)| (name.clone(), text(value).to_owned())).collect()
}

fn config() -> Config {
    let text = read(&format!("{DIRECTORY}/config.yaml"));
    let environment: Environment = image::environment().into_iter().chain(secret()).collect();
    let (config, warnings) = Config::from_text("config.yaml", &text, &environment, None).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    config
}

#[test]
fn every_file_is_listed_and_the_secret_is_not() {
    let kustomization = manifest("kustomization");
    let mut listed = words(&kustomization["resources"]);
    for generator in list(&kustomization["configMapGenerator"]) {
        listed.extend(words(&generator["files"]));
    }
    listed.extend(["kustomization.yaml", "secret.example.yaml"].map(str::to_owned));
    let mut there: Vec<String> = std::fs::read_dir(path(DIRECTORY))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    listed.sort_unstable();
    there.sort_unstable();
    assert_eq!(listed, there);
    let tags: Vec<&str> = list(&kustomization["images"]).iter().map(|image| text(&image["newTag"])).collect();
    assert_eq!(tags, [env!("CARGO_PKG_VERSION")]);
}

#[test]
fn the_configuration_and_the_secret_fit() {
    let config = config();
    let clients: Vec<_> =
        config.clients.iter().map(|client| (client.name.as_str(), client.target.is_ok())).collect();
    assert_eq!(clients, [("athena_logging", true)], "the variables of the Secret reach the clients");
    let secret = manifest("secret.example");
    check_variables(map(&secret["stringData"]).keys().map(String::as_str));
    assert_eq!(
        secret["stringData"]["ATHENA_KEY_12"], "",
        "an unedited template must not open the admin routes"
    );
    let (_, container) = pod();
    let sources: Vec<&str> =
        list(&container["envFrom"]).iter().map(|source| text(&source["secretRef"]["name"])).collect();
    assert_eq!(sources, [text(&secret["metadata"]["name"])]);
}

#[test]
fn the_command_is_that_of_the_image() {
    let (pod, container) = pod();
    assert!(container.get("command").is_none(), "the entry point is the image's");
    assert_eq!(words(&container["args"]), image::command()[1..]);
    let config = server_options(&image::command()).config.unwrap();
    let mount = |name: &str| {
        let found = list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not mounted")).clone()
    };
    assert_eq!(config.parent().unwrap().to_str(), mount("config")["mountPath"].as_str());
    assert_eq!(mount("config")["readOnly"], true);
    for volume in list(&pod["volumes"]) {
        mount(text(&volume["name"]));
    }
    let generator = &manifest("kustomization")["configMapGenerator"][0];
    assert_eq!(pod["volumes"][0]["configMap"]["name"], generator["name"]);
    assert_eq!(words(&generator["files"]), [config.file_name().unwrap().to_str().unwrap()]);
}

#[test]
fn ports_and_probes_lead_to_the_gateway() {
    let (_, container) = pod();
    let port = &container["ports"][0];
    assert_eq!(number(&port["containerPort"]), u64::from(config().server.port));
    let service = &manifest("service")["spec"]["ports"][0];
    assert_eq!(service["targetPort"], port["name"]);
    assert_eq!(service["port"], port["containerPort"]);
    let specification = documents(&athena_http::specification()).remove(0);
    for (probe, expected) in
        [("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], port["name"], "{probe}");
        assert_eq!(text(&get["path"]), expected, "{probe}");
        assert!(specification["paths"][expected]["get"].is_object(), "{expected} is no route");
    }
}

#[test]
fn a_pod_has_time_to_drain() {
    let (pod, container) = pod();
    let pause = words(&container["lifecycle"]["preStop"]["exec"]["command"]);
    assert_eq!(pause[0], "/bin/sleep");
    let grace = Duration::from_secs(number(&pod["terminationGracePeriodSeconds"]));
    check_grace(&config(), Duration::from_secs(pause[1].parse().unwrap()), grace);
    let spec = &manifest("deployment")["spec"];
    assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert!(number(&spec["replicas"]) >= 2);
    assert_eq!(manifest("poddisruptionbudget")["spec"]["maxUnavailable"], 1);
    assert_eq!(list(&pod["topologySpreadConstraints"]).len(), 2);
}

#[test]
fn a_pod_keeps_what_waits_for_the_control_database() {
    let (pod, container) = pod();
    let config = config();
    let mount = list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == "state").unwrap();
    assert!(mount.get("readOnly").is_none() && mount.get("subPath").is_none(), "{mount}");
    check_spool(&config, Path::new(text(&mount["mountPath"])));
    // Volumes belong to root; the group may write.
    let security = &pod["securityContext"];
    assert_eq!(security["fsGroup"], security["runAsGroup"]);
    let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == "state").unwrap();
    let limit = text(&volume["emptyDir"]["sizeLimit"]);
    let bytes = limit.strip_suffix("Gi").unwrap().parse::<u64>().unwrap() << 30;
    assert!(config.logging.spool_max_bytes < bytes, "a full spool would get the pod evicted");
}

#[test]
fn a_pod_is_confined() {
    let (pod, container) = pod();
    let of_pod = &pod["securityContext"];
    assert_eq!(of_pod["runAsNonRoot"], true);
    assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
    let dockerfile = read("Dockerfile");
    let user = format!("\nUSER {}:{}\n", number(&of_pod["runAsUser"]), number(&of_pod["runAsGroup"]));
    assert!(dockerfile.contains(&user), "the image has another user than{user}");
    let own = &container["securityContext"];
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(words(&own["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(pod["automountServiceAccountToken"], false);
    // A Service `athena` would otherwise set ATHENA_PORT and the like.
    assert_eq!(pod["enableServiceLinks"], false);
    let resources = &container["resources"];
    for what in ["cpu", "memory"] {
        assert!(resources["requests"][what].is_string(), "{what}");
    }
    assert!(resources["limits"]["memory"].is_string());
}

/// Where kubectl is, it renders the directory (without a cluster), and the parts must find each other.
#[test]
fn the_rendered_parts_fit_together() {
    if !available("kubectl", &["version", "--client"]) {
        return;
    }
    let out = Command::new("kubectl").arg("kustomize").arg(path(DIRECTORY)).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let rendered = documents(&String::from_utf8(out.stdout).unwrap());
    let of = |kind: &str| {
        let mut found = rendered.iter().filter(|object| object["kind"] == kind);
        let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(found.next().is_none(), "more than one {kind}");
        object
    };
    let deployment = of("Deployment");
    let labels = map(&deployment["spec"]["template"]["metadata"]["labels"]);
    assert!(!labels.is_empty());
    let selectors = [
        &deployment["spec"]["selector"]["matchLabels"],
        &of("Service")["spec"]["selector"],
        &of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ];
    for selector in selectors {
        assert_eq!(map(selector), labels);
    }
    let pod = &deployment["spec"]["template"]["spec"];
    for constraint in list(&pod["topologySpreadConstraints"]) {
        assert_eq!(map(&constraint["labelSelector"]["matchLabels"]), labels);
    }
    assert_eq!(text(&pod["containers"][0]["image"]), format!("athena:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(pod["volumes"][0]["configMap"]["name"], of("ConfigMap")["metadata"]["name"]);
    assert_eq!(of("ConfigMap")["data"]["config.yaml"], read(&format!("{DIRECTORY}/config.yaml")));
}
