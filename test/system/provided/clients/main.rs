// What each client's function does, by the last part of the event's path.
use std::sync::atomic::{AtomicU32, Ordering};

use lambda_runtime::streaming::{channel, Body, Response};
use lambda_runtime::{run, service_fn, Error, FunctionResponse, LambdaEvent, MetadataPrelude};
use serde_json::{json, Value};

static COUNT: AtomicU32 = AtomicU32::new(0);

fn stream(late: bool) -> Response<Body> {
    let (mut sender, stream) = channel();
    tokio::spawn(async move {
        sender.send_data("one".into()).await.unwrap();
        if late {
            sender.abort();
        } else {
            sender.send_data(" two".into()).await.unwrap();
        }
    });
    let mut prelude = MetadataPrelude {
        status_code: 202u16.try_into().unwrap(),
        cookies: vec!["c=1".into(), "d=2".into()],
        ..Default::default()
    };
    prelude.headers.insert("x-a", "b".parse().unwrap());
    Response { metadata_prelude: prelude, stream }
}

async fn handle(event: LambdaEvent<Value>) -> Result<FunctionResponse<Value, Body>, Error> {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let (event, context) = event.into_parts();
    let path = event["rawPath"].as_str().unwrap_or_default();
    Ok(match path.rsplit('/').next().unwrap_or_default() {
        "echo" => FunctionResponse::BufferedResponse(json!({
            "statusCode": 200, "body": event["body"], "isBase64Encoded": event["isBase64Encoded"],
            "cookies": ["c=1", "d=2"], "headers": {"X-Function": context.env_config.function_name}})),
        "error" => return Err("broken".into()),
        "panic" => panic!("a panic"),
        "stream" => FunctionResponse::StreamingResponse(stream(false)),
        "late" => FunctionResponse::StreamingResponse(stream(true)),
        _ => FunctionResponse::BufferedResponse(json!({"statusCode": 200, "body": count.to_string()})),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}
