// SPDX-License-Identifier: Apache-2.0
// rpc_server PATH: listens and answers each request with its text in upper case.
#include <cctype>
#include <iostream>
#include <string>
#include <tachyon.hpp>

int main(int argc, char **argv) try {
    if (argc < 2) return std::cerr << "usage: rpc_server PATH\n", 2;

    auto rpc = tachyon::RpcBus::listen(argv[1], 1 << 16, 1 << 16);
    int count = 0;
    try {
        for (;; count++) {
            const auto request = rpc.serve();
            std::string text(request.text());
            for (char &c : text) c = static_cast<char>(std::toupper(c));
            rpc.reply(request.correlation_id, text, request.type_id);
        }
    } catch (const tachyon::closed_error &) { std::cout << "served " << count << '\n'; }
} catch (const std::exception &error) {
    std::cerr << "rpc_server: " << error.what() << '\n';
    return 1;
}
