//! Threads of a server, each with a runtime of its own.
//!
//! A crawl, its connections to the upstream and its first reader stay on the thread that accepted the reader's connection: what
//! one of them does for another costs no system call. A runtime that moves tasks between threads wakes a thread for most pages
//! (`bench/README.md` has the figures).

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;

/// The current runtime and its further threads; they end with this value.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Each connection has a clone.
    open: Arc<()>,
}

/// Thread of a connection, which counts it until this value is dropped.
pub(super) struct AssignedWorker {
    pub(super) runtime: Handle,
    _open: Arc<()>,
}

impl Workers {
    /// The current runtime alone.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn current() -> Self {
        let worker = Worker { runtime: Handle::current(), open: Arc::default() };
        Self { workers: vec![worker], threads: Vec::new(), stop: CancellationToken::new() }
    }

    /// The current runtime, and further threads up to this number.
    ///
    /// # Errors
    /// Fails where the system gives no thread, or no event queue for one.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let mut all = Self::current();
        for number in 1..count.get() {
            let (sender, started) = mpsc::channel();
            let stopped = all.stop.clone().cancelled_owned();
            all.threads.push(Builder::new().name(format!("worker-{number}")).spawn(move || run(stopped, &sender))?);
            let runtime = started.recv().map_err(io::Error::other)??;
            all.workers.push(Worker { runtime, open: Arc::default() });
        }
        Ok(all)
    }

    /// Returns the thread with the fewest connections.
    pub(super) fn assign(&self) -> AssignedWorker {
        let idlest = self.workers.iter().min_by_key(|worker| Arc::strong_count(&worker.open));
        let Worker { runtime, open } = idlest.expect("the current runtime is one");
        AssignedWorker { runtime: runtime.clone(), _open: Arc::clone(open) }
    }
}

/// Runs a runtime until it is stopped, and sends its handle, or the error of its start.
fn run(stopped: impl Future<Output = ()>, sender: &mpsc::Sender<io::Result<Handle>>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    // Nothing receives it where the start was given up.
    let _ = sender.send(runtime.as_ref().map(|runtime| runtime.handle().clone()).map_err(|error| error.kind().into()));
    if let Ok(runtime) = runtime {
        runtime.block_on(stopped);
        runtime.shutdown_background();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A panic has been reported on its thread.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::thread;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::body::Incoming;
    use hyper::client::conn::http1::{SendRequest, handshake};
    use hyper_util::rt::TokioIo;
    use tokio::net::{TcpListener, TcpStream};
    use tower::service_fn;

    use super::*;
    use crate::server::{Server, ServerSettings};

    async fn connect(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn thread_of(client: &mut SendRequest<Empty<Bytes>>) -> Bytes {
        let request = Request::get("/").header("host", "a").body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn connections_are_spread_over_the_threads_and_stay_where_they_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let thread = service_fn(|_: Request<Incoming>| async {
            let id = format!("{:?}", thread::current().id());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(id))))
        });
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stopped = stop.clone().cancelled_owned();
            async move {
                let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
                let server = Server::new(ServerSettings::default());
                server.run(&workers, vec![listener.into()], thread, stopped, std::future::pending()).await;
            }
        });
        let mut clients = Vec::new();
        for _ in 0..6 {
            let mut client = connect(address).await;
            let thread = thread_of(&mut client).await;
            clients.push((client, thread));
        }
        for (client, thread) in &mut clients {
            assert_eq!(thread_of(client).await, *thread);
        }
        let threads: HashSet<_> = clients.iter().map(|(_, thread)| thread.clone()).collect();
        assert_eq!(threads.len(), 3);
        for thread in threads {
            assert_eq!(clients.iter().filter(|(_, of)| *of == thread).count(), 2);
        }
        drop(clients);
        stop.cancel();
        serving.await.unwrap();
    }
}
