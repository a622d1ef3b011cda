// SPDX-License-Identifier: Apache-2.0
// `alloctrail doctor`: what this kernel and this target allow. Looks, and attaches to nothing but itself.
#pragma once

#include "user/options/doctor_options.h"
#include "user/result.h"

namespace alloctrail {

[[nodiscard]] Result<ExitCode> run_doctor(const DoctorOptions& options);

}  // namespace alloctrail
