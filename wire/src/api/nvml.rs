//! Every function of NVML, declared once.
//!
//! A row is `class fn name(parameter: mode, …);` and always returns an `nvmlReturn_t` (but for `nvmlErrorString`):
//!
//! * `sync`: the backend answers. The modes say how each parameter travels, see [`Mode`](super::nvml_call::Mode); from them derive the export of
//!   `libnvidia-ml.so.1`, the check of the command's shape on both ends, and the plugin's call of the vendor's library.
//! * `local`: answered in the program's process.
//! * `refused`: would change the device; returns `NVML_ERROR_NO_PERMISSION`.
//! * `unsupported`: returns `NVML_ERROR_NOT_SUPPORTED` and says its name once. Among these is what would show other tenants' programs, what has pointers inside its
//!   structures, and older forms whose structures are not documented any more.
//!
//! The group names NVIDIA's page: `https://docs.nvidia.com/deploy/nvml-api/group__<group>.html`. Sizes are those of a 64-bit system.

/// Hands every declaration to the macro named in the argument.
#[macro_export]
#[rustfmt::skip]
macro_rules! nvml_api { ($callback:ident) => { $callback! {
    group "nvmlInitializationAndCleanup" {
        local fn nvmlInit_v2();
        local fn nvmlInitWithFlags(flags: u32);
        local fn nvmlShutdown();
        local fn nvmlInit();
    }
    group "nvmlErrorReporting" {
        local fn nvmlErrorString(result: u32);
    }
    group "nvmlSystemQueries" {
        sync fn nvmlSystemGetDriverVersion(version: text, length: size);
        sync fn nvmlSystemGetNVMLVersion(version: text, length: size);
        sync fn nvmlSystemGetCudaDriverVersion(cudaDriverVersion: out(4));
        sync fn nvmlSystemGetCudaDriverVersion_v2(cudaDriverVersion: out(4));
        local fn nvmlSystemGetProcessName(pid: u32, name: text, length: size);
        sync fn nvmlSystemGetHicVersion(hwbcCount: count, hwbcEntries: array(36));
        sync fn nvmlSystemGetTopologyGpuSet(cpuNumber: u32, count: count, deviceArray: devices);
        sync fn nvmlSystemGetDriverBranch(branchInfo: versioned(0x0100_0054), length: u32);
        unsupported fn nvmlSystemGetCPER_v1();
    }
    group "nvmlUnitQueries" {
        sync fn nvmlUnitGetCount(unitCount: out(4));
        sync fn nvmlUnitGetHandleByIndex(index: u32, unit: out_unit);
        sync fn nvmlUnitGetUnitInfo(unit: unit, info: out(384));
        sync fn nvmlUnitGetLedState(unit: unit, state: out(260));
        sync fn nvmlUnitGetPsuInfo(unit: unit, psu: out(268));
        sync fn nvmlUnitGetTemperature(unit: unit, type_: u32, temp: out(4));
        sync fn nvmlUnitGetFanSpeedInfo(unit: unit, fanSpeeds: out(196));
        sync fn nvmlUnitGetDevices(unit: unit, deviceCount: count, devices: devices);
    }
    group "nvmlDeviceQueries" {
        sync fn nvmlDeviceGetCount_v2(deviceCount: out(4));
        sync fn nvmlDeviceGetAttributes_v2(device: device, attributes: out(40));
        sync fn nvmlDeviceGetHandleByIndex_v2(index: u32, device: out_device);
        sync fn nvmlDeviceGetHandleBySerial(serial: name, device: out_device);
        sync fn nvmlDeviceGetHandleByUUID(uuid: name, device: out_device);
        sync fn nvmlDeviceGetHandleByUUIDV(uuid: versioned(0x0100_0034), device: out_device);
        sync fn nvmlDeviceGetHandleByPciBusId_v2(pciBusId: name, device: out_device);
        sync fn nvmlDeviceGetName(device: device, name: text, length: size);
        sync fn nvmlDeviceGetBrand(device: device, type_: out(4));
        sync fn nvmlDeviceGetIndex(device: device, index: out(4));
        sync fn nvmlDeviceGetSerial(device: device, serial: text, length: size);
        sync fn nvmlDeviceGetModuleId(device: device, moduleId: out(4));
        sync fn nvmlDeviceGetC2cModeInfoV(device: device, c2cModeInfo: out(4));
        sync fn nvmlDeviceGetNumaNodeId(device: device, node: out(4));
        sync fn nvmlDeviceGetAddressingMode(device: device, mode: versioned(0x0100_0008));
        sync fn nvmlDeviceGetRepairStatus(device: device, repairStatus: versioned(0x0100_000c));
        sync fn nvmlDeviceGetUnrepairableMemoryFlag_v1(device: device, unrepairableMemoryStatus: out(4));
        sync fn nvmlDeviceGetTopologyCommonAncestor(device1: device, device2: device, pathInfo: out(4));
        sync fn nvmlDeviceGetTopologyNearestGpus(device: device, level: u32, count: count, deviceArray: devices);
        sync fn nvmlDeviceGetP2PStatus(device1: device, device2: device, p2pIndex: u32, p2pStatus: out(4));
        sync fn nvmlDeviceGetUUID(device: device, uuid: text, length: size);
        sync fn nvmlDeviceGetMinorNumber(device: device, minorNumber: out(4));
        sync fn nvmlDeviceGetBoardPartNumber(device: device, partNumber: text, length: size);
        sync fn nvmlDeviceGetInforomVersion(device: device, object: u32, version: text, length: size);
        sync fn nvmlDeviceGetInforomImageVersion(device: device, version: text, length: size);
        sync fn nvmlDeviceGetInforomConfigurationChecksum(device: device, checksum: out(4));
        sync fn nvmlDeviceValidateInforom(device: device);
        sync fn nvmlDeviceGetLastBBXFlushTime(device: device, timestamp: out(8), durationUs: out(8));
        unsupported fn nvmlDeviceGetBBXTimeData_v1();
        sync fn nvmlDeviceGetGpuUptime_v1(device: device, uptime: out(4));
        sync fn nvmlDeviceGetDisplayMode(device: device, display: out(4));
        sync fn nvmlDeviceGetDisplayActive(device: device, isActive: out(4));
        sync fn nvmlDeviceGetPersistenceMode(device: device, mode: out(4));
        sync fn nvmlDeviceGetPciInfoExt(device: device, pci: versioned(0x0100_0040));
        sync fn nvmlDeviceGetPciInfo_v3(device: device, pci: out(68));
        sync fn nvmlDeviceGetMaxPcieLinkGeneration(device: device, maxLinkGen: out(4));
        sync fn nvmlDeviceGetGpuMaxPcieLinkGeneration(device: device, maxLinkGenDevice: out(4));
        sync fn nvmlDeviceGetMaxPcieLinkWidth(device: device, maxLinkWidth: out(4));
        sync fn nvmlDeviceGetCurrPcieLinkGeneration(device: device, currLinkGen: out(4));
        sync fn nvmlDeviceGetCurrPcieLinkWidth(device: device, currLinkWidth: out(4));
        sync fn nvmlDeviceGetPcieThroughput(device: device, counter: u32, value: out(4));
        sync fn nvmlDeviceGetPcieReplayCounter(device: device, value: out(4));
        sync fn nvmlDeviceGetClockInfo(device: device, type_: u32, clock: out(4));
        sync fn nvmlDeviceGetMaxClockInfo(device: device, type_: u32, clock: out(4));
        sync fn nvmlDeviceGetGpcClkVfOffset(device: device, offset: out(4));
        sync fn nvmlDeviceGetApplicationsClock(device: device, clockType: u32, clockMHz: out(4));
        sync fn nvmlDeviceGetDefaultApplicationsClock(device: device, clockType: u32, clockMHz: out(4));
        sync fn nvmlDeviceGetClock(device: device, clockType: u32, clockId: u32, clockMHz: out(4));
        sync fn nvmlDeviceGetMaxCustomerBoostClock(device: device, clockType: u32, clockMHz: out(4));
        sync fn nvmlDeviceGetSupportedMemoryClocks(device: device, count: count, clocksMHz: array(4));
        sync fn nvmlDeviceGetSupportedGraphicsClocks(device: device, memoryClockMHz: u32, count: count, clocksMHz: array(4));
        sync fn nvmlDeviceGetAutoBoostedClocksEnabled(device: device, isEnabled: out(4), defaultIsEnabled: optional(4));
        sync fn nvmlDeviceGetFanSpeed(device: device, speed: out(4));
        sync fn nvmlDeviceGetFanSpeed_v2(device: device, fan: u32, speed: out(4));
        sync fn nvmlDeviceGetFanSpeedRPM(device: device, fanSpeed: versioned(0x0100_000c));
        sync fn nvmlDeviceGetTargetFanSpeed(device: device, fan: u32, targetSpeed: out(4));
        sync fn nvmlDeviceGetMinMaxFanSpeed(device: device, minSpeed: out(4), maxSpeed: out(4));
        sync fn nvmlDeviceGetFanControlPolicy_v2(device: device, fan: u32, policy: out(4));
        sync fn nvmlDeviceGetNumFans(device: device, numFans: out(4));
        sync fn nvmlDeviceGetTemperature(device: device, sensorType: u32, temp: out(4));
        sync fn nvmlDeviceGetCoolerInfo(device: device, coolerInfo: versioned(0x0100_0010));
        sync fn nvmlDeviceGetTemperatureV(device: device, temperature: versioned(0x0100_000c));
        sync fn nvmlDeviceGetTemperatureThreshold(device: device, thresholdType: u32, temp: out(4));
        sync fn nvmlDeviceGetMarginTemperature(device: device, marginTempInfo: versioned(0x0100_0008));
        sync fn nvmlDeviceGetThermalSettings(device: device, sensorIndex: u32, pThermalSettings: out(64));
        sync fn nvmlDeviceGetPerformanceState(device: device, pState: out(4));
        sync fn nvmlDeviceGetCurrentClocksEventReasons(device: device, clocksEventReasons: out(8));
        sync fn nvmlDeviceGetCurrentClocksThrottleReasons(device: device, clocksThrottleReasons: out(8));
        sync fn nvmlDeviceGetSupportedClocksEventReasons(device: device, supportedClocksEventReasons: out(8));
        sync fn nvmlDeviceGetSupportedClocksThrottleReasons(device: device, supportedClocksThrottleReasons: out(8));
        sync fn nvmlDeviceGetPowerState(device: device, pState: out(4));
        sync fn nvmlDeviceGetDynamicPstatesInfo(device: device, pDynamicPstatesInfo: out(132));
        sync fn nvmlDeviceGetMemClkVfOffset(device: device, offset: out(4));
        sync fn nvmlDeviceGetMinMaxClockOfPState(device: device, type_: u32, pstate: u32, minClockMHz: out(4), maxClockMHz: out(4));
        sync fn nvmlDeviceGetSupportedPerformanceStates(device: device, pstates: array(1), size: size);
        sync fn nvmlDeviceGetGpcClkMinMaxVfOffset(device: device, minOffset: out(4), maxOffset: out(4));
        sync fn nvmlDeviceGetMemClkMinMaxVfOffset(device: device, minOffset: out(4), maxOffset: out(4));
        sync fn nvmlDeviceGetClockOffsets(device: device, info: versioned(0x0100_0018));
        refused fn nvmlDeviceSetClockOffsets();
        sync fn nvmlDeviceGetPerformanceModes(device: device, perfModes: versioned(0x0100_0804));
        sync fn nvmlDeviceGetCurrentClockFreqs(device: device, currentClockFreqs: versioned(0x0100_0804));
        sync fn nvmlDeviceGetPowerManagementMode(device: device, mode: out(4));
        sync fn nvmlDeviceGetPowerManagementLimit(device: device, limit: out(4));
        sync fn nvmlDeviceGetPowerManagementLimitConstraints(device: device, minLimit: out(4), maxLimit: out(4));
        sync fn nvmlDeviceGetPowerManagementDefaultLimit(device: device, defaultLimit: out(4));
        sync fn nvmlDeviceGetPowerUsage(device: device, power: out(4));
        sync fn nvmlDeviceGetPowerMizerMode_v1(device: device, powerMizerMode: out(12));
        refused fn nvmlDeviceSetPowerMizerMode_v1();
        sync fn nvmlDeviceGetTotalEnergyConsumption(device: device, energy: out(8));
        sync fn nvmlDeviceGetEnforcedPowerLimit(device: device, limit: out(4));
        refused fn nvmlDeviceSetAdaptiveTgpMode_v1();
        sync fn nvmlDeviceGetAdaptiveTgpModeInfo_v1(device: device, info: out(20));
        sync fn nvmlDeviceGetGpuOperationMode(device: device, current: optional(4), pending: optional(4));
        sync fn nvmlDeviceGetMemoryInfo(device: device, memory: out(24));
        sync fn nvmlDeviceGetMemoryInfo_v2(device: device, memory: versioned(0x0200_0028));
        refused fn nvmlDeviceSetMemoryLimits_v1();
        unsupported fn nvmlDeviceGetMemoryLimits_v1();
        sync fn nvmlDeviceGetComputeMode(device: device, mode: out(4));
        sync fn nvmlDeviceGetCudaComputeCapability(device: device, major: out(4), minor: out(4));
        sync fn nvmlDeviceGetDramEncryptionMode(device: device, current: versioned(0x0100_0008), pending: versioned(0x0100_0008));
        refused fn nvmlDeviceSetDramEncryptionMode();
        sync fn nvmlDeviceGetEccMode(device: device, current: out(4), pending: out(4));
        sync fn nvmlDeviceGetDefaultEccMode(device: device, defaultMode: out(4));
        sync fn nvmlDeviceGetBoardId(device: device, boardId: out(4));
        sync fn nvmlDeviceGetMultiGpuBoard(device: device, multiGpuBool: out(4));
        sync fn nvmlDeviceGetTotalEccErrors(device: device, errorType: u32, counterType: u32, eccCounts: out(8));
        sync fn nvmlDeviceGetDetailedEccErrors(device: device, errorType: u32, counterType: u32, eccCounts: out(32));
        sync fn nvmlDeviceGetMemoryErrorCounter(device: device, errorType: u32, counterType: u32, locationType: u32, count: out(8));
        sync fn nvmlDeviceGetUtilizationRates(device: device, utilization: out(8));
        sync fn nvmlDeviceGetEncoderUtilization(device: device, utilization: out(4), samplingPeriodUs: out(4));
        sync fn nvmlDeviceGetEncoderCapacity(device: device, encoderQueryType: u32, encoderCapacity: out(4));
        sync fn nvmlDeviceGetEncoderStats(device: device, sessionCount: out(4), averageFps: out(4), averageLatency: out(4));
        unsupported fn nvmlDeviceGetEncoderSessions();
        sync fn nvmlDeviceGetDecoderUtilization(device: device, utilization: out(4), samplingPeriodUs: out(4));
        sync fn nvmlDeviceGetJpgUtilization(device: device, utilization: out(4), samplingPeriodUs: out(4));
        sync fn nvmlDeviceGetOfaUtilization(device: device, utilization: out(4), samplingPeriodUs: out(4));
        sync fn nvmlDeviceGetFBCStats(device: device, fbcStats: out(12));
        unsupported fn nvmlDeviceGetFBCSessions();
        sync fn nvmlDeviceGetDriverModel_v2(device: device, current: optional(4), pending: optional(4));
        sync fn nvmlDeviceGetVbiosVersion(device: device, version: text, length: size);
        sync fn nvmlDeviceGetBridgeChipInfo(device: device, bridgeHierarchy: out(1028));
        sync fn nvmlDeviceGetComputeRunningProcesses_v3(device: device, infoCount: count, infos: processes(24));
        sync fn nvmlDeviceGetGraphicsRunningProcesses_v3(device: device, infoCount: count, infos: processes(24));
        sync fn nvmlDeviceGetMPSComputeRunningProcesses_v3(device: device, infoCount: count, infos: processes(24));
        unsupported fn nvmlDeviceGetRunningProcessDetailList();
        sync fn nvmlDeviceOnSameBoard(device1: device, device2: device, onSameBoard: out(4));
        sync fn nvmlDeviceGetAPIRestriction(device: device, apiType: u32, isRestricted: out(4));
        sync fn nvmlDeviceGetSamples(device: device, type_: u32, lastSeenTimeStamp: u64, sampleValType: out(4), sampleCount: count, samples: array(16));
        sync fn nvmlDeviceGetBAR1MemoryInfo(device: device, bar1Memory: out(24));
        sync fn nvmlDeviceGetViolationStatus(device: device, perfPolicyType: u32, violTime: out(16));
        sync fn nvmlDeviceGetIrqNum(device: device, irqNum: out(4));
        sync fn nvmlDeviceGetNumGpuCores(device: device, numCores: out(4));
        sync fn nvmlDeviceGetPowerSource(device: device, powerSource: out(4));
        sync fn nvmlDeviceGetMemoryBusWidth(device: device, busWidth: out(4));
        sync fn nvmlDeviceGetPcieLinkMaxSpeed(device: device, maxSpeed: out(4));
        sync fn nvmlDeviceGetPcieSpeed(device: device, pcieSpeed: out(4));
        sync fn nvmlDeviceGetAdaptiveClockInfoStatus(device: device, adaptiveClockStatus: out(4));
        sync fn nvmlDeviceGetBusType(device: device, type_: out(4));
        sync fn nvmlDeviceGetGpuFabricInfo(device: device, gpuFabricInfo: out(28));
        sync fn nvmlDeviceGetGpuFabricInfoV(device: device, gpuFabricInfo: versioned(0x0200_0024 0x0300_0028));
        sync fn nvmlDeviceGetGpuFabricInfo_v4(device: device, gpuFabricInfo: out(548));
        sync fn nvmlSystemGetConfComputeCapabilities(capabilities: out(8));
        sync fn nvmlSystemGetConfComputeState(state: out(12));
        sync fn nvmlDeviceGetConfComputeMemSizeInfo(device: device, memInfo: out(16));
        sync fn nvmlSystemGetConfComputeGpusReadyState(isAcceptingWork: out(4));
        sync fn nvmlDeviceGetConfComputeProtectedMemoryUsage(device: device, memory: out(24));
        sync fn nvmlDeviceGetConfComputeGpuCertificate(device: device, gpuCert: out(9224));
        sync fn nvmlDeviceGetConfComputeGpuAttestationReport(device: device, gpuAtstReport: inout(12332));
        sync fn nvmlSystemGetConfComputeKeyRotationThresholdInfo(pKeyRotationThrInfo: versioned(0x0100_0010));
        refused fn nvmlDeviceSetConfComputeUnprotectedMemSize();
        refused fn nvmlSystemSetConfComputeGpusReadyState();
        refused fn nvmlSystemSetConfComputeKeyRotationThresholdInfo();
        sync fn nvmlSystemGetConfComputeSettings(settings: versioned(0x0100_0014 0x0200_0018));
        sync fn nvmlSystemGetConfComputeSettings_v2(settings: versioned(0x0100_0014 0x0200_0018));
        sync fn nvmlDeviceGetGspFirmwareVersion(device: device, version: out(64));
        sync fn nvmlDeviceGetGspFirmwareMode(device: device, isEnabled: out(4), defaultMode: out(4));
        sync fn nvmlDeviceGetSramEccErrorStatus(device: device, status: versioned(0x0100_0068));
        refused fn nvmlDeviceSetPowerManagementLimit_v2();
        sync fn nvmlDeviceGetAccountingMode(device: device, mode: out(4));
        unsupported fn nvmlDeviceGetAccountingStats();
        sync fn nvmlDeviceGetAccountingPids(device: device, count: count, pids: processes(4));
        sync fn nvmlDeviceGetAccountingBufferSize(device: device, bufferSize: out(4));
        unsupported fn nvmlDeviceGetAccountingStats_v2();
        sync fn nvmlDeviceGetRetiredPages(device: device, cause: u32, pageCount: count, addresses: array(8));
        sync fn nvmlDeviceGetRetiredPages_v2(device: device, cause: u32, pageCount: count, addresses: array(8), timestamps: array(8));
        sync fn nvmlDeviceGetRetiredPagesPendingStatus(device: device, isPending: out(4));
        sync fn nvmlDeviceGetRemappedRows(device: device, corrRows: out(4), uncRows: out(4), isPending: out(4), failureOccurred: out(4));
        sync fn nvmlDeviceGetRowRemapperHistogram(device: device, values: out(20));
        sync fn nvmlDeviceGetArchitecture(device: device, arch: out(4));
        sync fn nvmlDeviceGetClkMonStatus(device: device, status: out(264));
        sync fn nvmlDeviceGetProcessUtilization(device: device, utilization: processes(32), processSamplesCount: count, lastSeenTimeStamp: u64);
        unsupported fn nvmlDeviceGetProcessesUtilizationInfo();
        sync fn nvmlDeviceGetPlatformInfo(device: device, platformInfo: versioned(0x0100_002c 0x0200_002c));
        sync fn nvmlDeviceGetPdi(device: device, pdi: versioned(0x0100_0010));
        refused fn nvmlDeviceSetHostname_v1();
        sync fn nvmlDeviceGetHostname_v1(device: device, hostname: out(64));
        unsupported fn nvmlDevicePerfMetricsGetSamples_v1();
        sync fn nvmlDeviceGetCapabilities(device: device, caps: versioned(0x0100_0008));
    }
    group "nvmlAffinity" {
        sync fn nvmlDeviceGetMemoryAffinity(device: device, nodeSetSize: size, nodeSet: array(8), scope: u32);
        sync fn nvmlDeviceGetCpuAffinityWithinScope(device: device, cpuSetSize: size, cpuSet: array(8), scope: u32);
        sync fn nvmlDeviceGetCpuAffinity(device: device, cpuSetSize: size, cpuSet: array(8));
        refused fn nvmlDeviceSetCpuAffinity();
        refused fn nvmlDeviceClearCpuAffinity();
    }
    group "nvmlUnitCommands" {
        refused fn nvmlUnitSetLedState();
    }
    group "nvmlDeviceCommands" {
        refused fn nvmlDeviceSetPersistenceMode();
        refused fn nvmlDeviceSetComputeMode();
        refused fn nvmlDeviceSetEccMode();
        refused fn nvmlDeviceClearEccErrorCounts();
        refused fn nvmlDeviceSetDriverModel();
        refused fn nvmlDeviceSetGpuLockedClocks();
        refused fn nvmlDeviceResetGpuLockedClocks();
        refused fn nvmlDeviceSetMemoryLockedClocks();
        refused fn nvmlDeviceResetMemoryLockedClocks();
        refused fn nvmlDeviceSetApplicationsClocks();
        refused fn nvmlDeviceResetApplicationsClocks();
        refused fn nvmlDeviceSetAutoBoostedClocksEnabled();
        refused fn nvmlDeviceSetDefaultAutoBoostedClocksEnabled();
        refused fn nvmlDeviceSetDefaultFanSpeed_v2();
        refused fn nvmlDeviceSetFanControlPolicy();
        refused fn nvmlDeviceSetTemperatureThreshold();
        refused fn nvmlDeviceSetPowerManagementLimit();
        refused fn nvmlDeviceSetGpuOperationMode();
        refused fn nvmlDeviceSetAPIRestriction();
        refused fn nvmlDeviceSetFanSpeed_v2();
        refused fn nvmlDeviceSetGpcClkVfOffset();
        refused fn nvmlDeviceSetMemClkVfOffset();
        refused fn nvmlDeviceSetAccountingMode();
        refused fn nvmlDeviceClearAccountingPids();
    }
    group "NvLink" {
        sync fn nvmlDeviceGetNvLinkState(device: device, link: u32, isActive: out(4));
        sync fn nvmlDeviceGetNvLinkVersion(device: device, link: u32, version: out(4));
        sync fn nvmlDeviceGetNvLinkCapability(device: device, link: u32, capability: u32, capResult: out(4));
        sync fn nvmlDeviceGetNvLinkRemotePciInfo_v2(device: device, link: u32, pci: out(68));
        sync fn nvmlDeviceGetNvLinkErrorCounter(device: device, link: u32, counter: u32, counterValue: out(8));
        refused fn nvmlDeviceResetNvLinkErrorCounters();
        refused fn nvmlDeviceSetNvLinkUtilizationControl();
        sync fn nvmlDeviceGetNvLinkUtilizationControl(device: device, link: u32, counter: u32, control: out(8));
        sync fn nvmlDeviceGetNvLinkUtilizationCounter(device: device, link: u32, counter: u32, rxcounter: out(8), txcounter: out(8));
        refused fn nvmlDeviceFreezeNvLinkUtilizationCounter();
        refused fn nvmlDeviceResetNvLinkUtilizationCounter();
        sync fn nvmlDeviceGetNvLinkRemoteDeviceType(device: device, link: u32, pNvLinkDeviceType: out(4));
        refused fn nvmlDeviceSetNvLinkDeviceLowPowerThreshold();
        refused fn nvmlSystemSetNvlinkBwMode();
        sync fn nvmlSystemGetNvlinkBwMode(nvlinkBwMode: out(4));
        sync fn nvmlDeviceGetNvlinkSupportedBwModes(device: device, supportedBwMode: versioned(0x0100_001c));
        sync fn nvmlDeviceGetNvlinkBwMode(device: device, getBwMode: versioned(0x0100_000c));
        refused fn nvmlDeviceSetNvlinkBwMode();
        refused fn nvmlDeviceSetNvlinkBwModeAsync_v1();
        sync fn nvmlDeviceGetNvLinkInfo(device: device, info: versioned(0x0100_0008 0x0200_064c));
        sync fn nvmlDeviceGetNvLinkInfo_v3(device: device, info: out(1612));
        unsupported fn nvmlDeviceGetNvLinkTelemetrySamples_v1();
        unsupported fn nvmlDeviceGetNvlinkRemapTableInfo_v1();
        refused fn nvmlDeviceSetNvlinkNvleReady_v1();
        refused fn nvmlDeviceLockNvlinkRemapTable_v1();
        refused fn nvmlDeviceSetupNvlinkNvleEncryptionKey_v1();
        unsupported fn nvmlDeviceGetNvlinkNvlePrivateInfo_v1();
    }
    group "nvmlEvents" {
        local fn nvmlEventSetCreate(set: out(8));
        local fn nvmlDeviceRegisterEvents(device: device, eventTypes: u64, set: u64);
        local fn nvmlDeviceGetSupportedEventTypes(device: device, eventTypes: out(8));
        local fn nvmlEventSetWait_v2(set: u64, data: out(32), timeoutms: u32);
        unsupported fn nvmlEventSetRegisterGpuOperationalEvents_v1();
        unsupported fn nvmlEventSetWait_v3();
        unsupported fn nvmlEventSetGetContextCount_v1();
        unsupported fn nvmlEventSetGetContextInfo_v1();
        unsupported fn nvmlEventSetGetContextData_v1();
        unsupported fn nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1();
        local fn nvmlEventSetFree(set: u64);
        unsupported fn nvmlSystemEventSetCreate();
        unsupported fn nvmlSystemEventSetFree();
        unsupported fn nvmlSystemRegisterEvents();
        unsupported fn nvmlSystemEventSetWait();
        local fn nvmlEventSetWait(set: u64, data: out(32), timeoutms: u32);
    }
    group "nvmlZPI" {
        refused fn nvmlDeviceModifyDrainState();
        sync fn nvmlDeviceQueryDrainState(pciInfo: inout(68), currentState: out(4));
        refused fn nvmlDeviceRemoveGpu_v2();
        refused fn nvmlDeviceDiscoverGpus();
        refused fn nvmlDeviceRemoveGpu();
    }
    group "nvmlFieldValueQueries" {
        sync fn nvmlDeviceGetFieldValues(device: device, valuesCount: size, values: values(40));
        refused fn nvmlDeviceClearFieldValues();
    }
    group "nvmlVirtualGpuQueries" {
        sync fn nvmlDeviceGetVirtualizationMode(device: device, pVirtualMode: out(4));
        sync fn nvmlDeviceGetHostVgpuMode(device: device, pHostVgpuMode: out(4));
        refused fn nvmlDeviceSetVirtualizationMode();
        sync fn nvmlDeviceGetVgpuHeterogeneousMode(device: device, pHeterogeneousMode: versioned(0x0100_0008));
        refused fn nvmlDeviceSetVgpuHeterogeneousMode();
        unsupported fn nvmlVgpuInstanceGetPlacementId();
        unsupported fn nvmlDeviceGetVgpuTypeSupportedPlacements();
        unsupported fn nvmlDeviceGetVgpuTypeCreatablePlacements();
        unsupported fn nvmlVgpuTypeGetGspHeapSize();
        unsupported fn nvmlVgpuTypeGetFbReservation();
        unsupported fn nvmlVgpuInstanceGetRuntimeStateSize();
        refused fn nvmlDeviceSetVgpuCapabilities();
        refused fn nvmlDeviceVgpuForceGspUnload();
        sync fn nvmlDeviceGetGridLicensableFeatures_v4(device: device, pGridLicensableFeatures: out(860));
    }
    group "nvmlVgpu" {
        sync fn nvmlGetVgpuDriverCapabilities(capability: u32, capResult: out(4));
        sync fn nvmlDeviceGetVgpuCapabilities(device: device, capability: u32, capResult: out(4));
        sync fn nvmlDeviceGetSupportedVgpus(device: device, vgpuCount: count, vgpuTypeIds: array(4));
        sync fn nvmlDeviceGetCreatableVgpus(device: device, vgpuCount: count, vgpuTypeIds: array(4));
        unsupported fn nvmlVgpuTypeGetClass();
        unsupported fn nvmlVgpuTypeGetName();
        unsupported fn nvmlVgpuTypeGetGpuInstanceProfileId();
        unsupported fn nvmlVgpuTypeGetDeviceID();
        unsupported fn nvmlVgpuTypeGetFramebufferSize();
        unsupported fn nvmlVgpuTypeGetNumDisplayHeads();
        unsupported fn nvmlVgpuTypeGetResolution();
        unsupported fn nvmlVgpuTypeGetLicense();
        unsupported fn nvmlVgpuTypeGetFrameRateLimit();
        unsupported fn nvmlVgpuTypeGetMaxInstances();
        unsupported fn nvmlVgpuTypeGetMaxInstancesPerVm();
        unsupported fn nvmlVgpuTypeGetBAR1Info();
        unsupported fn nvmlDeviceGetActiveVgpus();
        unsupported fn nvmlVgpuInstanceGetVmID();
        unsupported fn nvmlVgpuInstanceGetUUID();
        unsupported fn nvmlVgpuInstanceGetVmDriverVersion();
        unsupported fn nvmlVgpuInstanceGetFbUsage();
        unsupported fn nvmlVgpuInstanceGetLicenseStatus();
        unsupported fn nvmlVgpuInstanceGetType();
        unsupported fn nvmlVgpuInstanceGetFrameRateLimit();
        unsupported fn nvmlVgpuInstanceGetEccMode();
        unsupported fn nvmlVgpuInstanceGetEncoderCapacity();
        refused fn nvmlVgpuInstanceSetEncoderCapacity();
        unsupported fn nvmlVgpuInstanceGetEncoderStats();
        unsupported fn nvmlVgpuInstanceGetEncoderSessions();
        unsupported fn nvmlVgpuInstanceGetFBCStats();
        unsupported fn nvmlVgpuInstanceGetFBCSessions();
        unsupported fn nvmlVgpuInstanceGetGpuInstanceId();
        unsupported fn nvmlVgpuInstanceGetGpuPciId();
        unsupported fn nvmlVgpuTypeGetCapabilities();
        unsupported fn nvmlVgpuInstanceGetMdevUUID();
        unsupported fn nvmlGpuInstanceGetCreatableVgpus();
        unsupported fn nvmlVgpuTypeGetMaxInstancesPerGpuInstance();
        unsupported fn nvmlGpuInstanceGetActiveVgpus();
        refused fn nvmlGpuInstanceSetVgpuSchedulerState();
        unsupported fn nvmlGpuInstanceGetVgpuSchedulerState();
        unsupported fn nvmlGpuInstanceGetVgpuSchedulerLog();
        unsupported fn nvmlGpuInstanceGetVgpuTypeCreatablePlacements();
        unsupported fn nvmlGpuInstanceGetVgpuHeterogeneousMode();
        refused fn nvmlGpuInstanceSetVgpuHeterogeneousMode();
        unsupported fn nvmlDeviceGetVgpuSchedulerState_v2();
        unsupported fn nvmlGpuInstanceGetVgpuSchedulerState_v2();
        unsupported fn nvmlDeviceGetVgpuSchedulerLog_v2();
        unsupported fn nvmlGpuInstanceGetVgpuSchedulerLog_v2();
        refused fn nvmlDeviceSetVgpuSchedulerState_v2();
        refused fn nvmlGpuInstanceSetVgpuSchedulerState_v2();
    }
    group "nvmlVgpuMigration" {
        unsupported fn nvmlVgpuInstanceGetMetadata();
        unsupported fn nvmlDeviceGetVgpuMetadata();
        unsupported fn nvmlGetVgpuCompatibility();
        unsupported fn nvmlDeviceGetPgpuMetadataString();
        unsupported fn nvmlDeviceGetVgpuSchedulerLog();
        unsupported fn nvmlDeviceGetVgpuSchedulerState();
        refused fn nvmlDeviceSetVgpuSchedulerState();
        unsupported fn nvmlDeviceGetVgpuSchedulerCapabilities();
        unsupported fn nvmlGetVgpuVersion();
        refused fn nvmlSetVgpuVersion();
    }
    group "nvmlUtil" {
        unsupported fn nvmlDeviceGetVgpuUtilization();
        unsupported fn nvmlDeviceGetVgpuInstancesUtilizationInfo();
        unsupported fn nvmlDeviceGetVgpuProcessUtilization();
        unsupported fn nvmlDeviceGetVgpuProcessesUtilizationInfo();
        unsupported fn nvmlVgpuInstanceGetAccountingMode();
        unsupported fn nvmlVgpuInstanceGetAccountingPids();
        unsupported fn nvmlVgpuInstanceGetAccountingStats();
        refused fn nvmlVgpuInstanceClearAccountingPids();
        unsupported fn nvmlVgpuInstanceGetLicenseInfo_v2();
    }
    group "nvmlExcludedGpuQueries" {
        sync fn nvmlGetExcludedDeviceCount(deviceCount: out(4));
        sync fn nvmlGetExcludedDeviceInfoByIndex(index: u32, info: out(148));
        sync fn nvmlGetBlacklistDeviceCount(deviceCount: out(4));
        sync fn nvmlGetBlacklistDeviceInfoByIndex(index: u32, info: out(148));
    }
    group "nvmlGPUPRMAccess" {
        refused fn nvmlDeviceReadWritePRM_v1();
        unsupported fn nvmlDeviceReadPRMCounters_v1();
    }
    group "nvmlMultiInstanceGPU" {
        refused fn nvmlDeviceSetMigMode();
        sync fn nvmlDeviceGetMigMode(device: device, currentMode: out(4), pendingMode: out(4));
        sync fn nvmlDeviceGetGpuInstanceProfileInfo(device: device, profile: u32, info: out(48));
        sync fn nvmlDeviceGetGpuInstanceProfileInfoV(device: device, profile: u32, info: versioned(0x0200_0098 0x0300_0098));
        sync fn nvmlDeviceGetGpuInstanceProfileInfoByIdV(device: device, profileId: u32, info: versioned(0x0200_0098 0x0300_0098));
        sync fn nvmlDeviceGetGpuInstancePossiblePlacements_v2(device: device, profileId: u32, placements: array(8), count: count);
        sync fn nvmlDeviceGetGpuInstanceRemainingCapacity(device: device, profileId: u32, count: out(4));
        refused fn nvmlDeviceCreateGpuInstance();
        refused fn nvmlDeviceCreateGpuInstanceWithPlacement();
        refused fn nvmlGpuInstanceDestroy();
        sync fn nvmlDeviceGetGpuInstances(device: device, profileId: u32, gpuInstances: gpu_instances, count: count);
        sync fn nvmlDeviceGetGpuInstanceById(device: device, id: u32, gpuInstance: out_gpu_instance);
        unsupported fn nvmlGpuInstanceGetInfo();
        sync fn nvmlGpuInstanceGetComputeInstanceProfileInfo(gpuInstance: gpu_instance, profile: u32, engProfile: u32, info: out(36));
        sync fn nvmlGpuInstanceGetComputeInstanceProfileInfoV(gpuInstance: gpu_instance, profile: u32, engProfile: u32, info: versioned(0x0200_0088 0x0300_008c));
        sync fn nvmlGpuInstanceGetComputeInstanceRemainingCapacity(gpuInstance: gpu_instance, profileId: u32, count: out(4));
        sync fn nvmlGpuInstanceGetComputeInstancePossiblePlacements(gpuInstance: gpu_instance, profileId: u32, placements: array(8), count: count);
        refused fn nvmlGpuInstanceCreateComputeInstance();
        refused fn nvmlGpuInstanceCreateComputeInstanceWithPlacement();
        refused fn nvmlComputeInstanceDestroy();
        sync fn nvmlGpuInstanceGetComputeInstances(gpuInstance: gpu_instance, profileId: u32, computeInstances: compute_instances, count: count);
        sync fn nvmlGpuInstanceGetComputeInstanceById(gpuInstance: gpu_instance, id: u32, computeInstance: out_compute_instance);
        unsupported fn nvmlComputeInstanceGetInfo_v2();
        sync fn nvmlDeviceIsMigDeviceHandle(device: device, isMigDevice: out(4));
        sync fn nvmlDeviceGetGpuInstanceId(device: device, id: out(4));
        sync fn nvmlDeviceGetComputeInstanceId(device: device, id: out(4));
        sync fn nvmlDeviceGetMaxMigDeviceCount(device: device, count: out(4));
        sync fn nvmlDeviceGetMigDeviceHandleByIndex(device: device, index: u32, migDevice: out_device);
        sync fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(migDevice: device, device: out_device);
    }
    group "nvmlGpmFunctions" {
        unsupported fn nvmlGpmMetricsGet();
        unsupported fn nvmlGpmSampleFree();
        unsupported fn nvmlGpmSampleAlloc();
        unsupported fn nvmlGpmSampleGet();
        unsupported fn nvmlGpmMigSampleGet();
        unsupported fn nvmlGpmQueryDeviceSupport();
        unsupported fn nvmlGpmQueryIfStreamingEnabled();
        refused fn nvmlGpmSetStreamingEnabled();
    }
    group "nvmlPowerProfiles" {
        sync fn nvmlDeviceWorkloadPowerProfileGetProfilesInfo(device: device, profilesInfo: versioned(0x0100_2bf8));
        sync fn nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(device: device, currentProfiles: versioned(0x0100_0064));
        refused fn nvmlDeviceWorkloadPowerProfileSetRequestedProfiles();
        refused fn nvmlDeviceWorkloadPowerProfileClearRequestedProfiles();
        refused fn nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1();
    }
    group "nvmlPowerSmoothing" {
        refused fn nvmlDevicePowerSmoothingActivatePresetProfile();
        refused fn nvmlDevicePowerSmoothingUpdatePresetProfileParam();
        refused fn nvmlDevicePowerSmoothingSetState();
        unsupported fn nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts();
        sync fn nvmlDeviceGetRemappedRows_v2(device: device, info: out(24));
        refused fn nvmlDeviceSetRusdSettings_v1();
        sync fn nvmlDeviceGetBankRemapperStatus_v1(device: device, pBankRemapperStatus: out(20));
        sync fn nvmlDeviceGetCount(deviceCount: out(4));
        sync fn nvmlDeviceGetHandleByIndex(index: u32, device: out_device);
        sync fn nvmlDeviceGetHandleByPciBusId(pciBusId: name, device: out_device);
        unsupported fn nvmlDeviceGetPciInfo();
        sync fn nvmlDeviceGetPciInfo_v2(device: device, pci: out(52));
        unsupported fn nvmlDeviceGetNvLinkRemotePciInfo();
        unsupported fn nvmlDeviceGetGridLicensableFeatures();
        unsupported fn nvmlDeviceGetGridLicensableFeatures_v2();
        unsupported fn nvmlDeviceGetGridLicensableFeatures_v3();
        unsupported fn nvmlDeviceGetAttributes();
        unsupported fn nvmlComputeInstanceGetInfo();
        sync fn nvmlDeviceGetComputeRunningProcesses(device: device, infoCount: count, infos: processes(16));
        sync fn nvmlDeviceGetComputeRunningProcesses_v2(device: device, infoCount: count, infos: processes(24));
        sync fn nvmlDeviceGetGraphicsRunningProcesses(device: device, infoCount: count, infos: processes(16));
        sync fn nvmlDeviceGetGraphicsRunningProcesses_v2(device: device, infoCount: count, infos: processes(24));
        sync fn nvmlDeviceGetMPSComputeRunningProcesses(device: device, infoCount: count, infos: processes(16));
        sync fn nvmlDeviceGetMPSComputeRunningProcesses_v2(device: device, infoCount: count, infos: processes(24));
        sync fn nvmlDeviceGetGpuInstancePossiblePlacements(device: device, profileId: u32, placements: array(8), count: count);
        unsupported fn nvmlVgpuInstanceGetLicenseInfo();
        sync fn nvmlDeviceGetDriverModel(device: device, current: optional(4), pending: optional(4));
    }
} } }
