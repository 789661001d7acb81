//! What is looked at on connecting.

use std::collections::HashMap;
use std::iter::empty;

use redis::RedisResult;

use super::connection::Connection;
use super::keys::Keys;
use super::script::Scripts;

/// Whether the server runs our scripts: an older one does not understand their first line.
pub(super) async fn check_scripts(
    scripts: &Scripts,
    keys: &Keys,
    connection: &Connection,
) -> RedisResult<()> {
    scripts.read.on(keys, empty()).arg("").arg(0).run(connection).await
}

/// What an operator should know of, as far as the server tells.
pub(super) async fn warnings(connection: &Connection) -> Vec<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("maxmemory-policy");
    // Whoever may not ask is not warned.
    let answer: RedisResult<HashMap<String, String>> = connection.query(&command).await;
    match answer.unwrap_or_default().get("maxmemory-policy") {
        Some(policy) if policy != "noeviction" => vec![format!(
            "Redis may evict counts, and forget what was used: its maxmemory-policy is {policy}, \
             and should be noeviction"
        )],
        _ => Vec::new(),
    }
}
