//! HTTPS, with the certificates that the server makes for itself.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::Node};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use plimsoll_apiserver::{Options, Server, TlsOptions, User};
use plimsoll_testkit::node;

use crate::client::{bare, patient};

async fn start(tls: TlsOptions) -> (Server, Client) {
    let options = Options { tls: Some(tls), rbac: true, controllers: false, kubelets: false, ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let client = client(&server).await;
    (server, client)
}

/// A client of the server's kubeconfig.
async fn client(server: &Server) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()).unwrap()
}

fn administrator() -> TlsOptions {
    TlsOptions { client: Some(User::administrator("root")), ..TlsOptions::default() }
}

async fn nodes(client: Client) -> Result<usize, kube::Error> {
    let list = patient(Api::<Node>::all(client).list(&ListParams::default())).await?;
    Ok(list.items.len())
}

/// An error with its causes.
fn told(error: kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn the_client_of_the_kubeconfig_is_who_its_certificate_says() {
    let (server, client) = start(administrator()).await;
    assert!(server.url().starts_with("https://127.0.0.1:"));
    server.load(vec![node("n1").build()]);
    assert_eq!(nodes(client.clone()).await.unwrap(), 1);
    let review: Api<SelfSubjectReview> = Api::all(client);
    let review = patient(review.create(&PostParams::default(), &SelfSubjectReview::default())).await.unwrap();
    let user = review.status.unwrap().user_info.unwrap();
    assert_eq!(user.username.as_deref(), Some("root"));
    assert!(user.groups.unwrap().contains(&"system:masters".to_owned()));
}

#[tokio::test]
async fn without_a_certificate_nobody_is_known() {
    let (_server, client) = start(TlsOptions::default()).await;
    let error = told(nodes(client).await.unwrap_err());
    assert!(error.contains("\"system:anonymous\" cannot list resource \"nodes\""), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_of_yesterday_is_worth_nothing() {
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    let (server, late) = start(TlsOptions { client_until: yesterday, ..administrator() }).await;
    let (other, _) = start(administrator()).await;
    // The other's certificate, shown to this server, which is trusted.
    let mut mixed = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    mixed.auth_infos = Kubeconfig::from_yaml(&other.kubeconfig()).unwrap().auth_infos;
    let mixed = Config::from_custom_kubeconfig(mixed, &KubeConfigOptions::default()).await.unwrap();
    for client in [late, Client::try_from(mixed).unwrap()] {
        match nodes(client).await {
            Err(kube::Error::Api(status)) => assert_eq!((status.code, &*status.reason), (401, "Unauthorized")),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn clients_notice_a_server_whose_certificate_is_of_yesterday_or_of_a_stranger() {
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    let (late, client_of_late) = start(TlsOptions { until: yesterday, ..TlsOptions::default() }).await;
    let error = told(nodes(client_of_late).await.unwrap_err());
    assert!(error.contains("certificate expired"), "{error}");
    let (server, _) = start(TlsOptions::default()).await;
    let mut mixed = Kubeconfig::from_yaml(&late.kubeconfig()).unwrap();
    mixed.clusters[0].cluster.as_mut().unwrap().server = Some(server.url());
    let mixed = Config::from_custom_kubeconfig(mixed, &KubeConfigOptions::default()).await.unwrap();
    let error = told(nodes(Client::try_from(mixed).unwrap()).await.unwrap_err());
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn whoever_speaks_plain_http_or_nothing_hinders_nobody() {
    let (server, client) = start(administrator()).await;
    let address = server.address().unwrap();
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let (_plain, other) = bare().await;
    let plain = crate::client::Client { address };
    assert!(plain.try_send("GET", "/api/v1/nodes", "", "").await.is_none(), "no answer in plain text");
    assert_eq!(nodes(client).await.unwrap(), 0);
    assert_eq!(other.try_send("GET", "/api/v1/nodes", "", "").await.unwrap().code, 200);
    drop(silent);
    server.shutdown().await;
}
