// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how a service of Type=notify is doing: sd_notify(3)'s datagram, without its library.
#pragma once

#include <string_view>

namespace alloctrail {

/// Sends `state`, such as "READY=1" or "STOPPING=1"; nothing happens where nobody asked ($NOTIFY_SOCKET).
void notify_service(std::string_view state);

}  // namespace alloctrail
