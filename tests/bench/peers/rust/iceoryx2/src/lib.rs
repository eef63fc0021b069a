// SPDX-License-Identifier: Apache-2.0
//! iceoryx2: publish and subscribe in each direction, and its events for who sleeps.

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use link::{Link, Mode, Or, Setting};

struct Iceoryx2 {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    events: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    _node: Node<ipc::Service>,
}

impl Link for Iceoryx2 {
    fn open(setting: &Setting) -> Self {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<ipc::Service>().or_cannot();
        let name = |direction: &str| -> ServiceName {
            let text = format!("tachyon-bench/{}/{direction}", setting.unique());
            ServiceName::new(&text).or_cannot()
        };
        let depth = (setting.ring_bytes() / setting.size).min(4096);
        let messages = |direction| {
            node.service_builder(&name(direction))
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(depth)
                .max_publishers(1)
                .max_subscribers(1)
                .open_or_create()
                .or_cannot()
        };
        let events = |direction| {
            node.service_builder(&name(direction))
                .event()
                .open_or_create()
                .or_cannot()
        };
        let (out, incoming) = match setting.lead {
            true => ("forth", "back"),
            false => ("back", "forth"),
        };
        let publisher = messages(out)
            .publisher_builder()
            .initial_max_slice_len(setting.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .or_cannot();
        let subscriber = messages(incoming).subscriber_builder().create().or_cannot();
        let events = (setting.mode == Mode::Sleep).then(|| {
            let notifier = events(out).notifier_builder().create().or_cannot();
            let listener = events(incoming).listener_builder().create().or_cannot();
            (notifier, listener)
        });
        // Who publishes before there is a subscriber has published for nobody.
        let (there, here) = (messages(out), messages(incoming));
        while there.dynamic_config().number_of_subscribers() == 0
            || here.dynamic_config().number_of_publishers() == 0
        {
            std::hint::spin_loop();
        }
        if events.is_some() {
            let listeners = Self::listeners(&node, &name(out));
            while listeners() == 0 {
                std::hint::spin_loop();
            }
        }
        Iceoryx2 {
            publisher,
            subscriber,
            events,
            _node: node,
        }
    }

    fn send(&mut self, payload: &[u8]) {
        let sample = self.publisher.loan_slice_uninit(payload.len()).or_cannot();
        sample.write_from_slice(payload).send().or_cannot();
        if let Some((notifier, _)) = &self.events {
            notifier.notify().or_cannot();
        }
    }

    fn receive(&mut self, payload: &mut [u8]) {
        loop {
            if let Some(sample) = self.subscriber.receive().or_cannot() {
                payload.copy_from_slice(sample.payload());
                return;
            }
            if let Some((_, listener)) = &self.events {
                listener.blocking_wait(|_| ()).or_cannot();
            }
        }
    }
}

impl Iceoryx2 {
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
