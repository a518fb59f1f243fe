//! Tower services and layers beside the session's handlers.

use super::*;
use http::{Request, StatusCode};
use poe_http::{Body, Peer, ReceivedBody};
use std::convert::Infallible;
use tower::service_fn;

#[tokio::test(start_paused = true)]
async fn a_service_has_a_path_and_everything_below() {
    let service = service_fn(|request: Request<ReceivedBody>| async move {
        assert!(request.extensions().get::<Peer>().is_some());
        let uri = request.uri().to_string();
        let body = request.into_body().collect().await.unwrap();
        let text = format!("{uri} {}", body.len());
        Ok::<_, Infallible>(http::Response::new(Body::from(text)))
    });
    let server = builder()
        .service("/below", service)
        .get("/mine", |_, exchange| exchange.text("mine"))
        .fallback(|_, exchange| exchange.status(StatusCode::IM_A_TEAPOT));
    serving(server, async |kernel, _| {
        assert_eq!(ask(kernel, &get("/below")).await.1, "/ 0");
        assert_eq!(ask(kernel, &get("/below/")).await.1, "/ 0");
        assert_eq!(ask(kernel, &get("/below/a/b?c=d")).await.1, "/a/b?c=d 0");
        let post = "POST /below/x HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(ask(kernel, post).await.1, "/x 3");
        assert_eq!(ask(kernel, &get("/belowest")).await.0, 418);
        assert_eq!(ask(kernel, &get("/mine")).await.1, "mine");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_axum_router_is_mounted_beside_sessions() {
    use axum::extract::Path;
    use axum::routing::get as axum_get;
    let router = axum::Router::new().route(
        "/user/{name}",
        axum_get(|Path(name): Path<String>| async move { format!("axum greets {name}") }),
    );
    let server = builder()
        .get("/session", |_, exchange| exchange.text("session"))
        .service("/axum", router);
    serving(server, async |kernel, _| {
        assert_eq!(
            ask(kernel, &get("/axum/user/ann")).await,
            (200, "axum greets ann".into())
        );
        assert_eq!(ask(kernel, &get("/axum/nobody")).await.0, 404);
        assert_eq!(ask(kernel, &get("/session")).await.1, "session");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn layers_wrap_all_routes_the_last_one_outermost() {
    let tag = |text: &'static str| {
        tower::util::MapResponseLayer::new(move |mut response: http::Response<Body>| {
            response
                .headers_mut()
                .append("x-layer", http::HeaderValue::from_static(text));
            response
        })
    };
    let server = builder()
        .get("/", |_, exchange| exchange.text("hello"))
        .layer(tag("inner"))
        .layer(tag("outer"));
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        send(&mut client, get("/")).await;
        let (head, _) = head(&mut client).await;
        let tags: Vec<_> = head.lines().filter(|line| line.starts_with("x-layer")).collect();
        assert_eq!(tags, ["x-layer: inner", "x-layer: outer"]);
        assert_eq!(ask(kernel, &get("/none")).await.0, 404);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_service_costs_its_connection() {
    let service = service_fn(|_: Request<ReceivedBody>| async move {
        if true {
            panic!("a bug");
        }
        Ok::<_, Infallible>(http::Response::new(Body::empty()))
    });
    let server = builder()
        .get("/", |_, exchange| exchange.text("hello"))
        .service("/bug", service);
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        send(&mut client, get("/bug")).await;
        assert!(rest(&mut client).await.is_empty());
        assert_eq!(ask(kernel, &get("/")).await.1, "hello");
    })
    .await;
}

#[tokio::test]
async fn files_are_served_with_types_and_ranges() {
    let folder = std::env::temp_dir().join(format!("poe-http-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("page.html"), "<p>0123456789</p>").unwrap();
    let kernel = Kernel::new();
    let server = HttpServer::builder("127.0.0.1:0")
        .files("/files", &folder)
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let ask = async |request: &str| {
            let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nrange: bytes=3-5\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            reply
        };
        let page = ask("GET /files/page.html").await;
        assert_eq!((status(&page), header(&page, "content-type")), (206, Some("text/html")));
        assert!(page.ends_with("\r\n\r\n012"), "{page}");
        assert_eq!(status(&ask("GET /files/none").await), 404);
        assert_eq!(status(&ask("GET /files/../Cargo.toml").await), 404);
        server.shutdown();
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
