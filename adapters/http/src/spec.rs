//! The specification, made from the code; nothing is started for it.

use std::sync::{Arc, LazyLock};

use athena_application::Gateway;
use athena_application::held::SharedMemory;
use bytes::Bytes;
use poem_openapi::OpenApiService;

use crate::api::{
    Apis, Bodies, ClientsApi, Documented, Documents, Door, GatewayApi, KeysApi, MetricsApi, OpsApi, Probe,
    ProvisionApi, QueryApi, ReloadApi, StatisticsApi,
};
use crate::body::BodyReader;
use crate::services::Services;
use crate::settings::HttpSettings;

const DESCRIPTION: &str = "\
One fast, safe door in front of many databases.

A request names its database by the header `X-Athena-Client`. Every failure has a string `error` and a string \
`message`, a machine-readable `code`, and the request's name in `trace_id` and in the header `X-Request-Id`. \
Unknown fields of a body are refused with `unknown_field`.";

/// The operations as a service.
pub(crate) fn service(
    services: &Services,
    settings: &HttpSettings,
    probe: Probe,
    documents: Documents,
    received: SharedMemory,
) -> OpenApiService<Apis, ()> {
    let gateway = &services.gateway;
    let reader = BodyReader::new(&gateway.limits, settings.client_request_timeout, received);
    let bodies = Bodies::new(reader.clone());
    let door = Arc::new(Door::new(gateway.clone(), reader, settings));
    let apis = Documented((
        GatewayApi::new(gateway, door.clone()),
        QueryApi::new(gateway, door),
        StatisticsApi::new(services.statistics.clone(), services.catalog_absence.clone()),
        ClientsApi::new(
            services.clients.clone(),
            gateway.clone(),
            services.catalog_absence.clone(),
            bodies.clone(),
        ),
        KeysApi::new(services.keys.clone(), bodies.clone()),
        ProvisionApi::new(services.provision.clone(), bodies),
        ReloadApi::new(services.reload.clone()),
        MetricsApi::new(services.metrics.clone()),
        OpsApi::new(gateway, probe, documents),
    ));
    OpenApiService::new(apis, "Athena", settings.version).description(DESCRIPTION).server("/")
}

/// A service without a database, to be described and never called.
fn described() -> OpenApiService<Apis, ()> {
    let gateway = Arc::new(Gateway {
        direct: None,
        caches: Default::default(),
        memory: Default::default(),
        registry: Arc::default(),
        limits: Default::default(),
        options: Default::default(),
        decoding: Default::default(),
        authenticator: Default::default(),
        budgets: Default::default(),
        cursors: Default::default(),
    });
    let services = Services::new(gateway);
    let (probe, documents) = (Probe::default(), Documents::default());
    service(&services, &HttpSettings::default(), probe, documents, SharedMemory::default())
}

/// The OpenAPI specification as YAML.
pub fn specification() -> String {
    described().spec_yaml()
}

/// The same, made when it is first asked for: it costs more than everything else of a start.
pub(crate) fn specification_bytes() -> Bytes {
    static MADE: LazyLock<Bytes> = LazyLock::new(|| specification().into());
    MADE.clone()
}

/// The interactive reference: one page that loads nothing from elsewhere.
pub(crate) fn reference() -> String {
    described().swagger_ui_html()
}
