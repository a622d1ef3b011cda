// SPDX-License-Identifier: Apache-2.0
// Figures as people write and read them: bytes in KiB/MiB, rates, counts, durations. Formatting for output/, parsing
// for the command line; no other stage spells a unit.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "user/result.h"

namespace alloctrail {

/// "0 B", "1023 B", "64 KiB", "12.35 MiB": at most 4 significant digits; decimals are left out when the figure is
/// exact.
[[nodiscard]] std::string format_bytes(uint64_t bytes);

/// "12,345,678 B".
[[nodiscard]] std::string format_exact_bytes(uint64_t bytes);

/// "1,234,567".
[[nodiscard]] std::string format_count(uint64_t count);
[[nodiscard]] std::string format_signed_count(int64_t count);

/// Per second, without saying so: "1.5 MiB", "0 B"; "<1 B" for a rate that would round to nothing.
[[nodiscard]] std::string format_byte_rate(double bytes_per_s);

/// Per second, without saying so: "1,234", "3.5", "0.02", "0"; "<0.01" for a rate that would round to nothing.
[[nodiscard]] std::string format_count_rate(double per_s);

/// A part of a whole, 0 to 1, as "97.6%"; "<0.1%" for a part that would round to nothing.
[[nodiscard]] std::string format_share(double share);

/// "250 ms", "4.1 s", "2 min 5 s", "3 h 20 min", "2 d 4 h".
[[nodiscard]] std::string format_duration(std::chrono::nanoseconds duration);

/// RFC 3339 in UTC with milliseconds: "2025-02-03T04:05:06.789Z".
[[nodiscard]] std::string format_rfc3339(std::chrono::system_clock::time_point time);

/// Local time of day: "04:05:06".
[[nodiscard]] std::string format_clock(std::chrono::system_clock::time_point time);

/// A number of bytes: "4096", "64KiB", "4k", "1M", "2GiB". k, K, KB and KiB all mean 1024.
[[nodiscard]] Result<uint64_t> parse_size(std::string_view text);

/// Digits only.
[[nodiscard]] Result<uint64_t> parse_number(std::string_view text);

/// A plain number, or one with k, M or G (1024 and its powers): "1000", "64k", "1Mi".
[[nodiscard]] Result<uint64_t> parse_count(std::string_view text);

/// "500ms", "2s", "1.5s", "1m", "1h", "1d"; without a unit: seconds.
[[nodiscard]] Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace alloctrail
