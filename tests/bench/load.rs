//! Clients that load a tunnel and print their figures on one line.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::app::{DOWNLOAD, ECHO, UPLOAD};
use crate::bulk::{self, Direction, Received, Window};
use crate::statistics::median;

/// Bytes of a small request and of its answer.
const REQUEST_BYTES: usize = 64;
/// How long one small answer may take, behind the fullest queue.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How much later than its window a transfer may end.
const LATE_MAX: Duration = Duration::from_secs(20);

/// New connections at a steady pace begin one so long after another, whether or not those before are done.
const PACE: Duration = Duration::from_millis(50);

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Prints the bits per second that arrived in the window, and all bytes that arrived.
pub(crate) fn bulk(to: SocketAddr, direction: Direction, streams: usize, window: Window) -> anyhow::Result<()> {
    block_on(async {
        let mut transfers = JoinSet::new();
        for _ in 0..streams {
            transfers.spawn(timeout(window.total() + LATE_MAX, transfer(to, direction, window)));
        }
        let mut sum = Received::default();
        while let Some(received) = transfers.join_next().await {
            let received = received?.context("the transfer hangs")??;
            sum = Received { counted: sum.counted + received.counted, total: sum.total + received.total };
        }
        println!("{} {}", sum.counted as f64 * 8.0 / window.time.as_secs_f64(), sum.total);
        Ok(())
    })
}

async fn transfer(to: SocketAddr, direction: Direction, window: Window) -> anyhow::Result<Received> {
    let mut stream = connect(to).await?;
    match direction {
        Direction::Up => upload(&mut stream, window).await,
        Direction::Down => {
            stream.write_u8(DOWNLOAD).await?;
            Ok(bulk::count(&mut stream, window).await?)
        }
    }
}

async fn upload(stream: &mut TcpStream, window: Window) -> anyhow::Result<Received> {
    let (mut reader, mut writer) = stream.split();
    writer.write_u8(UPLOAD).await?;
    for time in [window.warm_up, window.time] {
        writer.write_u32(u32::try_from(time.as_millis())?).await?;
    }
    tokio::select! {
        counted = reader.read_u64() => Ok(Received { counted: counted?, total: reader.read_u64().await? }),
        error = bulk::fill(&mut writer) => Err(error.into()),
    }
}

/// Without a reset at the end the client's ports run out within seconds, and bytes under way meet the next measurement.
async fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Prints finished connections per second.
pub(crate) fn connects(to: SocketAddr, time: Duration, at_once: usize) -> anyhow::Result<()> {
    block_on(async {
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..at_once {
            clients.spawn(connect_again(to, start + time));
        }
        let mut total = 0;
        while let Some(times) = clients.join_next().await {
            total += times??.len();
        }
        println!("{}", total as f64 / start.elapsed().as_secs_f64());
        Ok(())
    })
}

/// Prints the median milliseconds from before the connect to the first byte of the answer.
pub(crate) fn first_byte(to: SocketAddr, time: Duration) -> anyhow::Result<()> {
    let times = block_on(connect_again(to, Instant::now() + time))?;
    println!("{}", median(&times) * 1e3);
    Ok(())
}

/// Prints the longest milliseconds from before the connect to the first byte of the answer.
pub(crate) fn slowest(to: SocketAddr, time: Duration) -> anyhow::Result<()> {
    let times = block_on(async {
        let (start, mut clients, mut pace) = (Instant::now(), JoinSet::new(), interval(PACE));
        while start.elapsed() < time {
            pace.tick().await;
            clients.spawn(connect_again(to, Instant::now()));
        }
        let mut times = Vec::new();
        while let Some(one) = clients.join_next().await {
            times.extend(one??);
        }
        anyhow::Ok(times)
    })?;
    println!("{}", times.into_iter().fold(0.0, f64::max) * 1e3);
    Ok(())
}

/// Returns the seconds that each connection took, at least one.
async fn connect_again(to: SocketAddr, end: Instant) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    while times.is_empty() || Instant::now() < end {
        let start = Instant::now();
        let mut stream = connect(to).await?;
        exchange(&mut stream, &[ECHO, 7], &mut [0]).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut [u8]) -> anyhow::Result<()> {
    stream.write_all(request).await?;
    timeout(ANSWER_MAX, stream.read_exact(answer)).await.context("no answer came")??;
    Ok(())
}

/// Prints the median milliseconds of small requests after the warm-up.
pub(crate) fn round_trip(to: SocketAddr, window: Window) -> anyhow::Result<()> {
    let times = block_on(async {
        let mut stream = connect(to).await?;
        stream.write_u8(ECHO).await?;
        let (start, mut times) = (Instant::now(), Vec::new());
        while start.elapsed() < window.total() {
            let asked = Instant::now();
            exchange(&mut stream, &[1; REQUEST_BYTES], &mut [0; REQUEST_BYTES]).await?;
            if start.elapsed() > window.warm_up {
                times.push(asked.elapsed().as_secs_f64());
            }
        }
        Ok(times)
    })?;
    println!("{}", median(&times) * 1e3);
    Ok(())
}

/// Prints how many seconds nothing came in the first pause of a download that is longer than `at_least`.
pub(crate) fn pause(to: SocketAddr, at_least: Duration, limit: Duration) -> anyhow::Result<()> {
    let pause = block_on(async {
        let mut stream = connect(to).await?;
        stream.write_u8(DOWNLOAD).await?;
        timeout(limit, first_pause(&mut stream, at_least)).await.context("nothing came again")?
    })?;
    println!("{}", pause.as_secs_f64());
    Ok(())
}

async fn first_pause(stream: &mut TcpStream, at_least: Duration) -> anyhow::Result<Duration> {
    let mut block = vec![0; 1 << 16];
    loop {
        let start = Instant::now();
        anyhow::ensure!(stream.read(&mut block).await? > 0, "the connection ended");
        if start.elapsed() >= at_least {
            return Ok(start.elapsed());
        }
    }
}

/// Holds connections until standard input ends; prints a line when each has carried a byte both ways.
pub(crate) fn hold(to: SocketAddr, count: usize, limit: Duration) -> anyhow::Result<()> {
    block_on(async {
        let mut held = Vec::new();
        let all = timeout(limit, fill_up(to, count, &mut held)).await;
        all.map_err(|_| anyhow::anyhow!("only {} connections were made in {limit:?}", held.len()))??;
        println!("held");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

async fn fill_up(to: SocketAddr, count: usize, held: &mut Vec<TcpStream>) -> anyhow::Result<()> {
    while held.len() < count {
        let mut stream = connect(to).await?;
        exchange(&mut stream, &[ECHO, 7], &mut [0]).await?;
        held.push(stream);
    }
    Ok(())
}
