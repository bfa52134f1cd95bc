"""CUDA's constants by their own names: facts of the CUDA runtime's headers, as programs read them from `cupy.cuda.runtime`."""

from __future__ import annotations

from typing import TYPE_CHECKING

#: Name without `cudaDevAttr` and number.
_ATTRIBUTES = (
    "AsyncEngineCount=40 CanFlushRemoteWrites=98 CanMapHostMemory=19 CanUseHostPointerForRegisteredMem=91 ClockRate=13 "
    "ComputeMode=20 ComputePreemptionSupported=90 ConcurrentKernels=31 ConcurrentManagedAccess=89 CooperativeLaunch=95 "
    "CooperativeMultiDeviceLaunch=96 DirectManagedMemAccessFromHost=101 EccEnabled=32 GPUDirectRDMAFlushWritesOptions=117 "
    "GPUDirectRDMASupported=116 GPUDirectRDMAWritesOrdering=118 GlobalL1CacheSupported=79 GlobalMemoryBusWidth=37 "
    "GpuOverlap=15 HostNativeAtomicSupported=86 HostRegisterReadOnlySupported=113 HostRegisterSupported=99 Integrated=18 "
    "IsMultiGpuBoard=84 KernelExecTimeout=17 L2CacheSize=38 LocalL1CacheSupported=80 ManagedMemory=83 MaxBlockDimX=2 "
    "MaxBlockDimY=3 MaxBlockDimZ=4 MaxBlocksPerMultiprocessor=106 MaxGridDimX=5 MaxGridDimY=6 MaxGridDimZ=7 MaxPitch=11 "
    "MaxRegistersPerBlock=12 MaxRegistersPerMultiprocessor=82 MaxSharedMemoryPerBlock=8 MaxSharedMemoryPerBlockOptin=97 "
    "MaxSharedMemoryPerMultiprocessor=81 MaxSurface1DLayeredLayers=62 MaxSurface1DLayeredWidth=61 MaxSurface1DWidth=55 "
    "MaxSurface2DHeight=57 MaxSurface2DLayeredHeight=64 MaxSurface2DLayeredLayers=65 MaxSurface2DLayeredWidth=63 "
    "MaxSurface2DWidth=56 MaxSurface3DDepth=60 MaxSurface3DHeight=59 MaxSurface3DWidth=58 MaxSurfaceCubemapLayeredLayers=68 "
    "MaxSurfaceCubemapLayeredWidth=67 MaxSurfaceCubemapWidth=66 MaxTexture1DLayeredLayers=43 MaxTexture1DLayeredWidth=42 "
    "MaxTexture1DLinearWidth=69 MaxTexture1DMipmappedWidth=77 MaxTexture1DWidth=21 MaxTexture2DGatherHeight=46 "
    "MaxTexture2DGatherWidth=45 MaxTexture2DHeight=23 MaxTexture2DLayeredHeight=28 MaxTexture2DLayeredLayers=29 "
    "MaxTexture2DLayeredWidth=27 MaxTexture2DLinearHeight=71 MaxTexture2DLinearPitch=72 MaxTexture2DLinearWidth=70 "
    "MaxTexture2DMipmappedHeight=74 MaxTexture2DMipmappedWidth=73 MaxTexture2DWidth=22 MaxTexture3DDepth=26 "
    "MaxTexture3DDepthAlt=49 MaxTexture3DHeight=25 MaxTexture3DHeightAlt=48 MaxTexture3DWidth=24 MaxTexture3DWidthAlt=47 "
    "MaxTextureCubemapLayeredLayers=54 MaxTextureCubemapLayeredWidth=53 MaxTextureCubemapWidth=52 MaxThreadsPerBlock=1 "
    "MaxThreadsPerMultiProcessor=39 MaxTimelineSemaphoreInteropSupported=114 MemoryClockRate=36 "
    "MemoryPoolSupportedHandleTypes=119 MemoryPoolsSupported=115 MultiGpuBoardGroupID=85 MultiProcessorCount=16 "
    "PageableMemoryAccess=88 PageableMemoryAccessUsesHostPageTables=100 PciBusId=33 PciDeviceId=34 PciDomainId=50 "
    "Reserved92=92 Reserved93=93 Reserved94=94 ReservedSharedMemoryPerBlock=111 SingleToDoublePrecisionPerfRatio=87 "
    "SparseCudaArraySupported=112 StreamPrioritiesSupported=78 SurfaceAlignment=30 TccDriver=35 TextureAlignment=14 "
    "TexturePitchAlignment=51 TotalConstantMemory=9 UnifiedAddressing=41 WarpSize=10 "
)

_OTHERS = (
    "CUDA_C_16F=6 CUDA_C_32F=4 CUDA_C_64F=5 CUDA_C_8I=7 CUDA_C_8U=9 CUDA_R_16BF=14 CUDA_R_16F=2 CUDA_R_32F=0 CUDA_R_64F=1 "
    "CUDA_R_8I=3 CUDA_R_8U=8 cudaAddressModeBorder=3 cudaAddressModeClamp=1 cudaAddressModeMirror=2 cudaAddressModeWrap=0 "
    "cudaArrayDefault=0 cudaArraySurfaceLoadStore=2 cudaChannelFormatKindFloat=2 cudaChannelFormatKindNone=3 "
    "cudaChannelFormatKindSigned=0 cudaChannelFormatKindUnsigned=1 cudaCpuDeviceId=-1 cudaFilterModeLinear=1 "
    "cudaFilterModePoint=0 cudaGraphDebugDotFlagsConditionalNodeParams=32768 cudaGraphDebugDotFlagsEventNodeParams=64 "
    "cudaGraphDebugDotFlagsExtSemasSignalNodeParams=128 cudaGraphDebugDotFlagsExtSemasWaitNodeParams=256 "
    "cudaGraphDebugDotFlagsHandles=1024 cudaGraphDebugDotFlagsHostNodeParams=32 "
    "cudaGraphDebugDotFlagsKernelNodeAttributes=512 cudaGraphDebugDotFlagsKernelNodeParams=4 "
    "cudaGraphDebugDotFlagsMemcpyNodeParams=8 cudaGraphDebugDotFlagsMemsetNodeParams=16 cudaGraphDebugDotFlagsVerbose=1 "
    "cudaInvalidDeviceId=-2 cudaIpcMemLazyEnablePeerAccess=1 cudaLimitDevRuntimePendingLaunchCount=4 "
    "cudaLimitDevRuntimeSyncDepth=3 cudaLimitMallocHeapSize=2 cudaLimitMaxL2FetchGranularity=5 cudaLimitPrintfFifoSize=1 "
    "cudaLimitStackSize=0 cudaMemAdviseSetAccessedBy=5 cudaMemAdviseSetPreferredLocation=3 cudaMemAdviseSetReadMostly=1 "
    "cudaMemAdviseUnsetAccessedBy=6 cudaMemAdviseUnsetPreferredLocation=4 cudaMemAdviseUnsetReadMostly=2 "
    "cudaMemAllocationTypePinned=1 cudaMemAttachGlobal=1 cudaMemAttachHost=2 cudaMemAttachSingle=4 cudaMemHandleTypeNone=0 "
    "cudaMemHandleTypePosixFileDescriptor=1 cudaMemLocationTypeDevice=1 cudaMemLocationTypeHost=2 "
    "cudaMemLocationTypeHostNuma=3 cudaMemLocationTypeHostNumaCurrent=4 cudaMemLocationTypeInvalid=0 "
    "cudaMemPoolAttrReleaseThreshold=4 cudaMemPoolAttrReservedMemCurrent=5 cudaMemPoolAttrReservedMemHigh=6 "
    "cudaMemPoolAttrUsedMemCurrent=7 cudaMemPoolAttrUsedMemHigh=8 cudaMemPoolReuseAllowInternalDependencies=3 "
    "cudaMemPoolReuseAllowOpportunistic=2 cudaMemPoolReuseFollowEventDependencies=1 cudaMemoryTypeDevice=2 "
    "cudaMemoryTypeHost=1 cudaReadModeElementType=0 cudaReadModeNormalizedFloat=1 cudaResourceTypeArray=0 "
    "cudaResourceTypeLinear=2 cudaResourceTypeMipmappedArray=1 cudaResourceTypePitch2D=3 eventBlockingSync=1 eventDefault=0 "
    "eventDisableTiming=2 eventInterprocess=4 hostAllocDefault=0 hostAllocMapped=2 hostAllocPortable=1 "
    "hostAllocWriteCombined=4 memcpyDefault=4 memcpyDeviceToDevice=3 memcpyDeviceToHost=2 memcpyHostToDevice=1 "
    "memcpyHostToHost=0 memoryTypeDevice=2 memoryTypeHost=1 memoryTypeManaged=3 memoryTypeUnregistered=0 "
    "streamCaptureModeGlobal=0 streamCaptureModeRelaxed=2 streamCaptureModeThreadLocal=1 streamCaptureStatusActive=1 "
    "streamCaptureStatusInvalidated=2 streamCaptureStatusNone=0 streamDefault=0 streamLegacy=1 streamNonBlocking=1 "
    "streamPerThread=2 "
)

#: Attribute number -> name.
ATTRIBUTE_NAMES: dict[int, str] = {}

for _item in _ATTRIBUTES.split():
    _name, _, _value = _item.partition("=")
    ATTRIBUTE_NAMES.setdefault(int(_value), _name)
    globals()["cudaDevAttr" + _name] = int(_value)
for _item in _OTHERS.split():
    _name, _, _value = _item.partition("=")
    globals()[_name] = int(_value)

memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice, memcpyDefault = range(5)

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...
