// SPDX-License-Identifier: Apache-2.0
// rpc_client PATH WORD...: connects and makes a call for each word.
#include <chrono>
#include <iostream>
#include <tachyon.hpp>

int main(int argc, char **argv) try {
    if (argc < 2) return std::cerr << "usage: rpc_client PATH WORD...\n", 2;
    tachyon::Options options;
    options.timeout = std::chrono::seconds(10);

    auto rpc = tachyon::RpcBus::connect(argv[1], options);
    for (char **word = argv + 2; *word; word++) {
        const auto reply = rpc.wait(rpc.call(*word, 1));
        std::cout << *word << " -> " << reply.text() << '\n';
    }
} catch (const std::exception &error) {
    std::cerr << "rpc_client: " << error.what() << '\n';
    return 1;
}
