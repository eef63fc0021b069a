// SPDX-License-Identifier: Apache-2.0
// recv PATH: listens and prints what comes until the stream ends.
#include <iostream>
#include <tachyon.hpp>

int main(int argc, char **argv) try {
    if (argc < 2) return std::cerr << "usage: recv PATH\n", 2;

    auto bus = tachyon::Bus::listen(argv[1], 1 << 16);
    int count = 0;
    while (auto message = bus.try_acquire_rx(tachyon::forever)) {
        std::cout << "type " << message->type_id << ": " << message->text() << '\n';
        count++;
    }
    if (tachyon::last_error() != TACHYON_ERR_CLOSED)
        throw std::system_error(tachyon::last_error());
    std::cout << "received " << count << '\n';
} catch (const std::exception &error) {
    std::cerr << "recv: " << error.what() << '\n';
    return 1;
}
