// SPDX-License-Identifier: Apache-2.0
// One message from a thread to another.
#include <string>
#include <tachyon.hpp>
#include <thread>
#include <unistd.h>

int main() {
    const std::string path = "@tachyon-user-" + std::to_string(getpid());
    std::thread sender([&] {
        tachyon::Options options;
        options.timeout = std::chrono::seconds(10);
        tachyon::Bus::connect(path, options).send("hello");
    });
    const bool right = tachyon::Bus::listen(path, 4096).acquire_rx().text() == "hello";
    sender.join();
    return right ? 0 : 1;
}
