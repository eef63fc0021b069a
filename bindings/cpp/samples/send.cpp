// SPDX-License-Identifier: Apache-2.0
// send PATH [COUNT]: connects and sends texts.
#include <chrono>
#include <iostream>
#include <string>
#include <tachyon.hpp>

int main(int argc, char **argv) try {
    if (argc < 2) return std::cerr << "usage: send PATH [COUNT]\n", 2;
    const int count = argc > 2 ? std::stoi(argv[2]) : 10;
    tachyon::Options options;
    options.timeout = std::chrono::seconds(10);

    auto bus = tachyon::Bus::connect(argv[1], options);
    for (int i = 0; i < count; i++) bus.send("tick " + std::to_string(i), 1);
    std::cout << "sent " << count << '\n';
} catch (const std::exception &error) {
    std::cerr << "send: " << error.what() << '\n';
    return 1;
}
