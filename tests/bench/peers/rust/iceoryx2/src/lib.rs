// SPDX-License-Identifier: Apache-2.0
//! iceoryx2: publish and subscribe in each direction, or requests and responses, and its
//! events for who sleeps.

use iceoryx2::active_request::ActiveRequest;
use iceoryx2::pending_response::PendingResponse;
use iceoryx2::port::client::Client;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::server::Server;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use link::{cannot, Link, Mode, Or, Read, Setting, Write};

type Ipc = ipc::Service;

struct Topics {
    publisher: Publisher<Ipc, [u8], ()>,
    subscriber: Subscriber<Ipc, [u8], ()>,
}

enum Ends {
    Topics(Box<Topics>),
    Calls(
        Client<Ipc, [u8], (), [u8], ()>,
        Option<PendingResponse<Ipc, [u8], (), [u8], ()>>,
    ),
    Serves(
        Server<Ipc, [u8], (), [u8], ()>,
        Option<ActiveRequest<Ipc, [u8], (), [u8], ()>>,
    ),
}

struct Iceoryx2 {
    ends: Ends,
    events: Option<(Notifier<Ipc>, Listener<Ipc>)>,
    _node: Node<Ipc>,
}

impl Link for Iceoryx2 {
    const IN_PLACE: bool = true;
    const RPC: bool = true;

    fn open(setting: &Setting) -> Self {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<ipc::Service>().or_cannot();
        let name = |direction: &str| -> ServiceName {
            let text = format!("tachyon-bench/{}/{direction}", setting.unique());
            ServiceName::new(&text).or_cannot()
        };
        let events = |direction| {
            node.service_builder(&name(direction))
                .event()
                .open_or_create()
                .or_cannot()
        };
        let (out, incoming) = setting.directions();
        let events = (setting.mode == Mode::Sleep).then(|| {
            let notifier = events(out).notifier_builder().create().or_cannot();
            let listener = events(incoming).listener_builder().create().or_cannot();
            (notifier, listener)
        });
        let ends = if setting.rpc {
            Self::requests(setting, &node, &name("rpc"))
        } else {
            Self::topics(setting, &node, &name(out), &name(incoming))
        };
        if events.is_some() {
            let listeners = Self::listeners(&node, &name(out));
            while listeners() == 0 {
                std::hint::spin_loop();
            }
        }
        Iceoryx2 {
            ends,
            events,
            _node: node,
        }
    }

    fn send(&mut self, payload: &[u8]) {
        match &mut self.ends {
            Ends::Topics(topics) => {
                let sample = topics.publisher.loan_slice_uninit(payload.len());
                let sample = sample.or_cannot().write_from_slice(payload);
                sample.send().or_cannot();
            }
            Ends::Calls(client, pending) => {
                let request = client.loan_slice_uninit(payload.len()).or_cannot();
                *pending = Some(request.write_from_slice(payload).send().or_cannot());
            }
            Ends::Serves(_, active) => {
                let Some(request) = active.take() else {
                    cannot("there is no request to answer")
                };
                let response = request.loan_slice_uninit(payload.len()).or_cannot();
                response.write_from_slice(payload).send().or_cannot();
            }
        }
        self.notify();
    }

    fn receive(&mut self, payload: &mut [u8]) {
        while !self.take(payload) {
            self.wait();
        }
    }

    fn send_in_place(&mut self, size: usize, write: Write) {
        let publisher = &self.in_place().publisher;
        let mut room = publisher.loan_slice_uninit(size).or_cannot();
        // SAFETY: all of it is written, and nothing read.
        let sample = unsafe {
            let first = room.payload_mut().as_mut_ptr().cast();
            write.fill(std::slice::from_raw_parts_mut(first, size));
            room.assume_init()
        };
        sample.send().or_cannot();
        self.notify();
    }

    fn receive_in_place(&mut self, _: usize, read: Read) {
        loop {
            if let Some(sample) = self.in_place().subscriber.receive().or_cannot() {
                return read.look(sample.payload());
            }
            self.wait();
        }
    }
}

impl Iceoryx2 {
    fn topics(
        setting: &Setting,
        node: &Node<Ipc>,
        out: &ServiceName,
        incoming: &ServiceName,
    ) -> Ends {
        let depth = (setting.ring_bytes() / setting.size).min(4096);
        let messages = |name: &ServiceName| {
            node.service_builder(name)
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(depth)
                .max_publishers(1)
                .max_subscribers(1)
                .open_or_create()
                .or_cannot()
        };
        let (there, here) = (messages(out), messages(incoming));
        let publisher = there
            .publisher_builder()
            .initial_max_slice_len(setting.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .or_cannot();
        let subscriber = here.subscriber_builder().create().or_cannot();
        // Who publishes before there is a subscriber has published for nobody.
        while there.dynamic_config().number_of_subscribers() == 0
            || here.dynamic_config().number_of_publishers() == 0
        {
            std::hint::spin_loop();
        }
        Ends::Topics(Box::new(Topics {
            publisher,
            subscriber,
        }))
    }

    fn requests(setting: &Setting, node: &Node<Ipc>, name: &ServiceName) -> Ends {
        let service = node
            .service_builder(name)
            .request_response::<[u8], [u8]>()
            .max_clients(1)
            .max_servers(1)
            .open_or_create()
            .or_cannot();
        if setting.lead {
            let client = service.client_builder().initial_max_slice_len(setting.size);
            let client = client.create().or_cannot();
            while service.dynamic_config().number_of_servers() == 0 {
                std::hint::spin_loop();
            }
            Ends::Calls(client, None)
        } else {
            let server = service.server_builder().initial_max_slice_len(setting.size);
            let server = server.create().or_cannot();
            while service.dynamic_config().number_of_clients() == 0 {
                std::hint::spin_loop();
            }
            Ends::Serves(server, None)
        }
    }

    fn in_place(&self) -> &Topics {
        match &self.ends {
            Ends::Topics(topics) => topics,
            _ => cannot("is not measured in place here"),
        }
    }

    /// Whether there was one.
    fn take(&mut self, payload: &mut [u8]) -> bool {
        match &mut self.ends {
            Ends::Topics(topics) => {
                let sample = topics.subscriber.receive().or_cannot();
                sample
                    .map(|it| payload.copy_from_slice(it.payload()))
                    .is_some()
            }
            Ends::Calls(_, pending) => {
                let Some(call) = pending else {
                    cannot("there is no call to wait for")
                };
                let response = call.receive().or_cannot();
                response
                    .map(|it| payload.copy_from_slice(it.payload()))
                    .is_some()
            }
            Ends::Serves(server, active) => {
                *active = server.receive().or_cannot();
                let request = active.as_ref();
                request
                    .map(|it| payload.copy_from_slice(it.payload()))
                    .is_some()
            }
        }
    }

    fn notify(&self) {
        if let Some((notifier, _)) = &self.events {
            notifier.notify().or_cannot();
        }
    }

    fn wait(&self) {
        if let Some((_, listener)) = &self.events {
            listener.blocking_wait(|_| ()).or_cannot();
        }
    }

    fn listeners(node: &Node<ipc::Service>, name: &ServiceName) -> impl Fn() -> usize {
        let service = node
            .service_builder(name)
            .event()
            .open_or_create()
            .or_cannot();
        move || service.dynamic_config().number_of_listeners()
    }
}

link::export!(Iceoryx2);
