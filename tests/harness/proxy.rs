//! A connection to a daemon that a test can cut, or lead to another daemon.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Carries bytes between clients and the daemon of the moment.
pub(crate) struct Proxy {
    address: String,
    route: Arc<Mutex<Route>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Route {
    /// Connections so far.
    connections: usize,
    /// `None`: connections are closed at once.
    address: Option<String>,
    /// Ends the connections of this route.
    cut: CancellationToken,
}

// === impl Proxy ===

impl Proxy {
    pub(crate) async fn start(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_address = listener.local_addr().unwrap().to_string();
        let route = Route { address: Some(address.to_owned()), ..Route::default() };
        let route = Arc::new(Mutex::new(route));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&route)));
        Self { address: own_address, route, accepting }
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    /// The number of connections so far, including those that were closed at once.
    pub(crate) fn connections(&self) -> usize {
        self.route.lock().unwrap().connections
    }

    /// Cuts all connections. Later ones lead to this address; `None`: to nobody.
    pub(crate) fn lead_to(&self, address: Option<&str>) {
        let mut route = self.route.lock().unwrap();
        route.address = address.map(str::to_owned);
        std::mem::take(&mut route.cut).cancel();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.lead_to(None);
    }
}

async fn accept(listener: TcpListener, route: Arc<Mutex<Route>>) {
    while let Ok((inbound, _)) = listener.accept().await {
        let (address, cut) = {
            let mut route = route.lock().unwrap();
            route.connections += 1;
            (route.address.clone(), route.cut.clone())
        };
        if let Some(address) = address {
            tokio::spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => {}
                    () = carry(inbound, &address) => {}
                }
            });
        }
    }
}

async fn carry(mut inbound: TcpStream, address: &str) {
    let Ok(mut outbound) = TcpStream::connect(address).await else { return };
    // Else small messages wait for an acknowledgement of up to 40 ms.
    inbound.set_nodelay(true).unwrap();
    outbound.set_nodelay(true).unwrap();
    // An error is the end of one of the two.
    let _ = copy_bidirectional(&mut inbound, &mut outbound).await;
}
