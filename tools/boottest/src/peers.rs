//! Others on the network, for the machine to talk to: servers on ports of the host's loopback, which the guest reaches
//! at 10.0.2.2. They are threads of this program, end with their case, and have the ports that are free.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use ninep::Framer;
use ninep::testserver::Server;

/// Largest 9P message of [`ninep_server`].
const MSIZE_MAX: u32 = 1 << 20;

/// How many ports of TCP may be somebody else's in UDP before [`Peers::both`] gives up.
const OTHERS_MAX: usize = 100;

/// All of a case.
#[derive(Default)]
pub struct Peers {
    ended: Arc<AtomicBool>,
    listening: Mutex<Vec<SocketAddr>>,
}

impl Peers {
    /// Serves each caller with `serve`, in a thread of its own. The port.
    pub fn tcp(&self, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Result<u16> {
        self.listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, serve)
    }

    /// [`Peers::tcp`] with `serve`, and datagrams answered with what `answer` makes of them, on one port, which is free
    /// in both networks. The port.
    pub fn both(
        &self,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Result<u16> {
        // Ports that are another's in UDP stay taken until one is found, so none is given out twice.
        let mut others = Vec::new();
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            match UdpSocket::bind(listener.local_addr()?) {
                Ok(socket) => {
                    self.answer(socket, answer)?;
                    return self.listen(listener, serve);
                }
                Err(e) if e.kind() == ErrorKind::AddrInUse && others.len() < OTHERS_MAX => {
                    others.push(listener)
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn listen(
        &self,
        listener: TcpListener,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Result<u16> {
        let addr = listener.local_addr()?;
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).push(addr);
        let (ended, serve) = (self.ended.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(std::result::Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Ok(addr.port())
    }

    /// Answers each datagram at the socket with what `answer` makes of it.
    fn answer(
        &self,
        socket: UdpSocket,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Result<u16> {
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let (port, ended) = (socket.local_addr()?.port(), self.ended.clone());
        thread::spawn(move || {
            let mut buf = [0; 2048];
            while !ended.load(Ordering::Relaxed) {
                let Ok((n, from)) = socket.recv_from(&mut buf) else { continue };
                if let Some(reply) = answer(buf.get(..n).unwrap_or_default()) {
                    // Whoever has asked may have gone.
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Ok(port)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for addr in self.listening.get_mut().unwrap_or_else(PoisonError::into_inner) {
            // The last caller, whom nobody serves.
            let _ = TcpStream::connect_timeout(addr, Duration::from_secs(1));
        }
    }
}

/// Serves a caller files in memory, as QEMU's own server has them: 9P2000.u and 9P2000.L.
pub fn ninep_server(mut server: Server) -> impl Fn(TcpStream) + Send + Sync + 'static {
    server.dotdot_in_dirs = true;
    let server = Mutex::new(server);
    move |mut stream| {
        let _ = stream.set_nodelay(true);
        let (mut framer, mut chunk) = (Framer::new(MSIZE_MAX), vec![0; 64 << 10]);
        // A session is one caller's.
        server.lock().unwrap_or_else(PoisonError::into_inner).reset();
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            framer.push(chunk.get(..n).unwrap_or_default());
            while let Ok(Some(request)) = framer.next_message() {
                let reply = server.lock().unwrap_or_else(PoisonError::into_inner).handle(request);
                if reply.is_empty() || stream.write_all(&reply).is_err() {
                    return;
                }
            }
        }
    }
}
