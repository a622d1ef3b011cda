// SPDX-License-Identifier: Apache-2.0
// Whose code a frame is: the C++ library's, the system's (libc, the loader, the vdso), or the program's own.
#pragma once

#include "user/model/snapshot.h"

namespace alloctrail {

/// A function of libstdc++ or libc++, also a template of theirs that was compiled into the program.
[[nodiscard]] bool is_standard_library_frame(const Frame& frame);

/// A function of the C library, its threads, the dynamic loader, libgcc or the vdso. Inside a program that was linked
/// statically only those that start programs and threads or allocate for their caller are known, by their names.
[[nodiscard]] bool is_system_frame(const Frame& frame);

}  // namespace alloctrail
