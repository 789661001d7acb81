//! A proxy on the loopback interface that does to a connection what networks do, on command.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// How many bytes are read at a time: more than any request or answer of the tests has.
const MOST: usize = 64 * 1024;

/// Where requests are forwarded to.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    Port(SocketAddr),
    Socket(PathBuf),
}

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self::Port(address)
    }
}

impl From<&Path> for Upstream {
    fn from(path: &Path) -> Self {
        Self::Socket(path.to_owned())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Upstream {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Port(address) => Box::new(TcpStream::connect(address).await?),
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// What happens to a request, where the one before it on its connection has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is cut, and the request is not forwarded.
    CutBeforeRequest,
    /// It is forwarded and answered, and the connection is cut instead of the answer.
    CutBeforeReply,
    /// It is forwarded and answered, and the connection is cut in the middle of the answer.
    CutInReply,
    /// It is held back until it is told to go on, even if its client has hung up by then.
    Hold,
}

/// A fault that waits for its request.
struct Script {
    /// Bytes that its request contains.
    part: Vec<u8>,
    fault: Fault,
    struck: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
    /// Dropped when its request is over.
    over: oneshot::Sender<()>,
}

/// A fault that was asked for.
#[derive(Debug)]
pub(crate) struct Scripted {
    struck: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
    over: oneshot::Receiver<()>,
}

impl Scripted {
    /// Waits until a request has been struck: it is held back, or its connection has been cut.
    pub(crate) async fn struck(&mut self) {
        (&mut self.struck).await.unwrap();
    }

    /// Delivers what is held back.
    pub(crate) fn deliver(self) {
        self.release.send(()).unwrap();
    }

    /// Delivers what is held back, and waits until it has been answered or the server hangs up.
    #[cfg(feature = "postgres")]
    pub(crate) async fn delivered(self) {
        self.release.send(()).unwrap();
        // Nobody sends anything: that it cannot be sent any more is what says that it is over.
        let _ = self.over.await;
    }
}

/// A proxy. It and all of its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    scripts: Scripts,
    listener: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Scripts(Arc<Mutex<Vec<Script>>>);

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scripts = self.0.lock().unwrap();
        f.debug_list().entries(scripts.iter().map(|script| script.fault)).finish()
    }
}

impl Scripts {
    /// The first fault that waits for this request.
    fn take(&self, request: &[u8]) -> Option<Script> {
        let mut scripts = self.0.lock().unwrap();
        let meant = |script: &Script| {
            script.part.is_empty() || request.windows(script.part.len()).any(|it| it == script.part)
        };
        let place = scripts.iter().position(meant)?;
        Some(scripts.remove(place))
    }
}

impl Proxy {
    /// A proxy without faults.
    pub(crate) async fn start(upstream: impl Into<Upstream>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, upstream) = (listener.local_addr().unwrap(), upstream.into());
        let scripts = Scripts::default();
        let listening = listen(listener, upstream, scripts.clone());
        Self { address, scripts, listener: tokio::spawn(listening) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Strikes the next request that contains these bytes, once. Of several faults that a request
    /// is meant by, the one that was scripted first strikes.
    pub(crate) fn script(&self, part: impl AsRef<[u8]>, fault: Fault) -> Scripted {
        let (striking, struck) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let (ending, over) = oneshot::channel();
        let part = part.as_ref().to_owned();
        let script = Script { part, fault, struck: striking, released, over: ending };
        self.scripts.0.lock().unwrap().push(script);
        Scripted { struck, release, over }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(listener: TcpListener, upstream: Upstream, scripts: Scripts) {
    // They are aborted together with whoever waits for them.
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (upstream, scripts) = (upstream.clone(), scripts.clone());
        connections.spawn(async move {
            // Without a server, a client is hung up on.
            if let Ok(server) = upstream.connect().await {
                // That one of them goes away is what the other one is told by being hung up on.
                let _ = forward(client, server, scripts).await;
            }
        });
    }
}

/// Forwards until one of the two hangs up, or a fault cuts their connection.
async fn forward(
    mut client: TcpStream,
    mut server: Box<dyn Stream>,
    scripts: Scripts,
) -> io::Result<()> {
    let (mut request, mut reply) = (vec![0; MOST], vec![0; MOST]);
    loop {
        tokio::select! {
            length = client.read(&mut request) => {
                let Some(request) = request.get(..length?).filter(|it| !it.is_empty()) else {
                    return Ok(());
                };
                match scripts.take(request) {
                    None => server.write_all(request).await?,
                    Some(script) => {
                        let cut = script.strike(request, &mut client, &mut server).await?;
                        if cut {
                            return Ok(());
                        }
                    }
                }
            }
            length = server.read(&mut reply) => {
                match length? {
                    0 => return Ok(()),
                    length => client.write_all(&reply[..length]).await?,
                }
            }
        }
    }
}

impl Script {
    /// Whether the connection is cut.
    async fn strike(
        self,
        request: &[u8],
        client: &mut TcpStream,
        server: &mut Box<dyn Stream>,
    ) -> io::Result<bool> {
        match self.fault {
            Fault::CutBeforeRequest => (),
            Fault::CutBeforeReply => {
                answer(request, server).await?;
            }
            Fault::CutInReply => {
                let reply = answer(request, server).await?;
                client.write_all(&reply[..reply.len() / 2]).await?;
            }
            Fault::Hold => {
                // Whoever scripted it may be gone.
                let _ = self.struck.send(());
                if self.released.await.is_ok() {
                    let reply = answer(request, server).await?;
                    drop(self.over);
                    // Its client may have hung up long ago.
                    let _ = client.write_all(&reply).await;
                    return Ok(false);
                }
                return Ok(true);
            }
        }
        client.shutdown().await?;
        let _ = self.struck.send(());
        Ok(true)
    }
}

/// Forwards a request, and gives the beginning of its answer: the request has been executed then.
async fn answer(request: &[u8], server: &mut Box<dyn Stream>) -> io::Result<Vec<u8>> {
    server.write_all(request).await?;
    let mut reply = vec![0; MOST];
    let length = server.read(&mut reply).await?;
    reply.truncate(length);
    Ok(reply)
}
