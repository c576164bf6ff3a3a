import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { DETECT_VIEWS, SEGMENT_VIEWS, type View } from './views';

/** A view's name. Which there are, the OpenAPI document says; it is checked where the answer is chosen. */
function viewOf(views: readonly View[]) {
  return Type.Optional(
    Type.String({
      enum: views.map(({ name }) => name),
      description: 'the form of the answer; it goes before Accept',
    }),
  );
}

const share = (description: string) => Type.Optional(Type.Number({ minimum: 0, maximum: 1, description }));

const common = {
  model: Type.Optional(
    Type.String({ minLength: 1, maxLength: 128, description: 'default: the first of the task' }),
  ),
  priority: Type.Optional(
    Type.Union([Type.Literal('high'), Type.Literal('normal'), Type.Literal('low')], {
      description: 'default: normal',
    }),
  ),
  timeout: Type.Optional(
    Type.Integer({ minimum: 1, description: 'milliseconds within which the answer is of use' }),
  ),
  imageId: Type.Optional(
    Type.Integer({ minimum: 0, description: "the image's id in COCO's answers; default: 1" }),
  ),
  opacity: share('how strongly an overlay is painted'),
};

/** The query of POST /segment. */
export const SegmentQuery = Type.Object(
  {
    ...common,
    view: viewOf(SEGMENT_VIEWS),
    scores: Type.Optional(
      Type.Boolean({ description: 'tell in the JSON how sure the model is of each label; default: false' }),
    ),
    legend: Type.Optional(
      Type.Union(
        [Type.Literal('auto'), Type.Literal('right'), Type.Literal('bottom'), Type.Literal('none')],
        {
          description: "where the overlay's legend stands; none keeps the image's size; default: auto",
        },
      ),
    ),
  },
  { additionalProperties: false },
);

/** The query of POST /detect. */
export const DetectQuery = Type.Object(
  {
    ...common,
    view: viewOf(DETECT_VIEWS),
    scoreThreshold: share("detections have a greater score; default: the model's"),
    maxDetections: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: "the best that are kept; default: the model's",
      }),
    ),
    iouThreshold: share("of two boxes with a greater overlap the better stays; default: the model's"),
    maskThreshold: share("pixels of a mask have at least this probability; default: the model's"),
    minScore: share('detections of a lower score are left out of the overlay; default: 0.3'),
  },
  { additionalProperties: false },
);

/** The query of POST /segment, checked. */
export type SegmentQueryOptions = Static<typeof SegmentQuery>;

/** The query of POST /detect, checked. */
export type DetectQueryOptions = Static<typeof DetectQuery>;

const color = Type.Array(Type.Integer({ minimum: 0, maximum: 255 }), { minItems: 3, maxItems: 3 });
const rle = Type.Object({
  size: Type.Array(Type.Integer(), { minItems: 2, maxItems: 2, description: 'height, width' }),
  counts: Type.String({ description: "COCO's compressed run lengths" }),
});
const size = { width: Type.Integer(), height: Type.Integer() };
const model = { model: Type.String(), version: Type.String() };
const about = {
  timing: Type.Object(
    { queue: Type.Number(), decode: Type.Number(), inference: Type.Number(), total: Type.Number() },
    { description: 'milliseconds' },
  ),
  batch: Type.Integer({ description: 'images that went through the network together' }),
};
const coco = { image_id: Type.Integer(), category_id: Type.Integer() };

const SegmentReply = Type.Object({
  ...model,
  ...size,
  classes: Type.Array(
    Type.Object({
      index: Type.Integer(),
      name: Type.String(),
      color,
      pixels: Type.Integer(),
      share: Type.Number(),
    }),
    { description: 'those that the image has, the largest first' },
  ),
  runs: Type.Array(Type.Integer(), { description: 'label, length, label, length, ... row by row' }),
  scores: Type.Optional(
    Type.Object(
      { width: Type.Integer(), height: Type.Integer(), png: Type.String() },
      {
        description: 'a grey PNG in base64, at most a million pixels: 255 times the score of the label there',
      },
    ),
  ),
  ...about,
});

const StuffReply = Type.Array(Type.Object({ ...coco, segmentation: rle }));

const DetectReply = Type.Object({
  ...model,
  ...size,
  detections: Type.Array(
    Type.Object({
      box: Type.Array(Type.Number(), { minItems: 4, maxItems: 4, description: 'x1, y1, x2, y2' }),
      score: Type.Number(),
      label: Type.Integer(),
      className: Type.String(),
      mask: Type.Optional(rle),
    }),
    { description: 'the best score first' },
  ),
  panoptic: Type.Optional(
    Type.Object({ segments: Type.Array(Type.Object({}, { additionalProperties: true })) }),
  ),
  classes: Type.Array(Type.Object({ index: Type.Integer(), name: Type.String(), color })),
  ...about,
});

const DetectionsReply = Type.Array(
  Type.Object({
    ...coco,
    bbox: Type.Array(Type.Number(), { minItems: 4, maxItems: 4, description: 'x, y, width, height' }),
    score: Type.Number(),
    segmentation: Type.Optional(rle),
  }),
);

/** Told in the OpenAPI document alone: bytes are checked by their own rules. */
const binary = Type.Any({ type: 'string', format: 'binary' });

/** The body of either request. */
export const ImageBody = {
  content: {
    'image/*': { schema: binary },
    'application/octet-stream': { schema: binary },
    'multipart/form-data': {
      schema: Type.Any({
        type: 'object',
        description: "an image as the one file; fields beside it stand for the query's options",
        properties: { image: { type: 'string', format: 'binary' } },
        required: ['image'],
      }),
    },
  },
};

/** Replies of one status in two media types; what is sent is made elsewhere, as bytes. */
function replies(description: string, ...json: TSchema[]) {
  return {
    200: {
      description,
      content: {
        'application/json': { schema: Type.Union(json) },
        'image/png': { schema: binary },
      },
    },
  };
}

/** What POST /segment answers. */
export const SegmentReplies = replies(
  'JSON with run lengths (view=rle) or as COCO has stuff (coco), a PNG of class indices (labels), or the image with the classes painted over it (overlay)',
  SegmentReply,
  StuffReply,
);

/** What POST /detect answers. */
export const DetectReplies = replies(
  "JSON (view=json) or COCO's results (coco), the image with detections drawn into it (overlay), or COCO's panoptic PNG (panoptic)",
  DetectReply,
  DetectionsReply,
);
