import { isDetection, type ModelInfo, type Sample, type Settings } from './answer.js';
import {
  type Answered,
  fetchModels,
  fetchSample,
  fetchSamples,
  fetchSettings,
  keepKey,
  predict,
  RequestFailed,
} from './api.js';
import { KeyForm, PercentSlider } from './controls.js';
import { downloadName, renderPng, save } from './downloads.js';
import { element } from './elements.js';
import { Intake } from './intake.js';
import { FoundList, Legend } from './legend.js';
import { ModelChoice } from './models.js';
import { Notices } from './notices.js';
import { closePicture, openPicture, type Picture, Refused } from './picture.js';
import { Probe } from './probe.js';
import { type Problem, problemOf } from './problem.js';
import { foundAt, legendOf, makeResult, type Result, type Shown, shownObjects } from './result.js';
import { SampleStrip } from './samples.js';
import { readScores } from './scores.js';
import { Stage } from './stage.js';
import { showTiming } from './timing.js';
import { Wipe } from './wipe.js';
import { counted, duration, percent } from './words.js';

/** Milliseconds between two looks at models that are still being loaded. */
const LOOK_AGAIN = 2000;

/** Where a picture comes from: kept so that it can be tried again. */
type Source = { readonly file: File } | { readonly sample: Sample };

interface Current {
  readonly picture: Picture;
  readonly result: Result;
  readonly text: string;
}

/** The page: what the person does, what the server says of it, and what is shown. */
export class Page {
  readonly #notices = new Notices(() => this.#cancel());
  readonly #models = new ModelChoice(() => this.#again());
  readonly #samples = new SampleStrip();
  readonly #stage = new Stage();
  readonly #probe = new Probe();
  readonly #legend = new Legend(() => this.#shownChanged());
  readonly #found = new FoundList((index) => this.#stage.light(index));
  readonly #opacity = new PercentSlider('opacity', (part) => {
    this.#stage.opacity = part;
  });
  readonly #threshold = new PercentSlider('threshold', () => {
    this.#listAll();
    this.#shownChanged();
  });
  readonly #key = new KeyForm((key) => {
    keepKey(key);
    this.#notices.clear();
    void this.start().then(() => this.#again());
  });
  /** Until the server has said: nothing is refused here. */
  #settings: Settings = { bodyLimit: Number.POSITIVE_INFINITY, maxPixels: Number.POSITIVE_INFINITY };
  #source: Source | undefined;
  #picture: Picture | undefined;
  #current: Current | undefined;
  #running = new AbortController();

  constructor() {
    new Wipe();
    new Intake(
      (file, more) => void this.#open({ file }, more),
      () => this.#refuse('That was not a file. Save the image first, then drop or choose it.'),
    );
    element('download-json', HTMLButtonElement).addEventListener('click', () => this.#saveJson());
    element('download-png', HTMLButtonElement).addEventListener('click', () => void this.#savePng());
  }

  /** Asks the server what it has. */
  async start(): Promise<void> {
    const [models, samples, settings] = await Promise.allSettled([
      this.#loadModels(),
      fetchSamples(),
      fetchSettings(),
    ]);
    if (samples.status === 'fulfilled') {
      this.#samples.show(samples.value, (sample) => {
        this.#models.prefer(sample.task);
        void this.#open({ sample });
      });
    }
    if (settings.status === 'fulfilled') this.#settings = settings.value;
    if (models.status === 'rejected') this.#fail(models.reason, () => void this.start());
  }

  async #loadModels(): Promise<void> {
    this.#models.show(await fetchModels());
    if (this.#models.ready) return;
    setTimeout(() => void this.#loadModels().catch(() => {}), LOOK_AGAIN);
  }

  get #shown(): Shown {
    const detects = this.#current?.result.content.kind === 'detect';
    return { hidden: this.#legend.hidden, threshold: detects ? this.#threshold.value : 0 };
  }

  /** Another model, or another try: the same picture once more. */
  #again(): void {
    if (this.#source !== undefined) void this.#open(this.#source);
  }

  #cancel(): void {
    this.#running.abort();
    this.#notices.say(this.#standing('Cancelled.'));
  }

  async #open(source: Source, more = 0): Promise<void> {
    this.#running.abort();
    this.#running = new AbortController();
    const { signal } = this.#running;
    const model = this.#models.chosen;
    this.#source = source;
    this.#notices.clear();
    if (model === undefined) return this.#fail(new RequestFailed({ status: 0 }), () => this.#restart());
    const name = 'file' in source ? source.file.name : source.sample.name;
    const others = more > 0 ? ` Only the first of ${more + 1} files is taken.` : '';
    this.#notices.say(`Looking at ${name} with ${model.name}…${others}`, true);
    try {
      const picture = await this.#picked(source, signal);
      if (signal.aborted) return;
      if (this.#current === undefined) this.#preview(picture);
      const answered = await predict(picture, model, signal);
      await this.#show(picture, model, answered, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) return this.#refuse(error.message);
      this.#fail(error, () => this.#again());
    }
  }

  #restart(): void {
    void this.start().then(() => this.#again());
  }

  async #picked(source: Source, signal: AbortSignal): Promise<Picture> {
    const file = 'file' in source ? source.file : await fetchSample(source.sample, signal);
    if (this.#picture?.file === file) return this.#picture;
    const picture = await openPicture(file, this.#settings);
    const before = this.#picture;
    this.#picture = picture;
    if (before !== undefined && before !== this.#current?.picture) closePicture(before);
    return picture;
  }

  #preview(picture: Picture): void {
    element('drop', HTMLDivElement).hidden = true;
    this.#stage.preview(picture, picture.size ?? { width: 4, height: 3 });
  }

  async #show(picture: Picture, model: ModelInfo, answered: Answered, signal: AbortSignal): Promise<void> {
    const { answer, text, roundTrip } = answered;
    const scores = isDetection(answer) ? undefined : await readScores(answer.scores);
    if (signal.aborted) return;
    const result = makeResult(answer, scores);
    const before = this.#current;
    if (before !== undefined && before.result.answer.model !== answer.model) this.#legend.reset();
    this.#current = { picture, result, text };
    if (before !== undefined && before.picture !== picture) closePicture(before.picture);

    element('drop', HTMLDivElement).hidden = true;
    element('panel', HTMLElement).hidden = false;
    element('main', HTMLElement).classList.remove('empty');
    element('threshold-field', HTMLDivElement).hidden = model.task !== 'detect';
    this.#samples.mark(this.#source !== undefined && 'sample' in this.#source ? picture.name : undefined);
    this.#stage.show(picture, result, this.#shown);
    this.#probe.target = {
      width: result.width,
      height: result.height,
      at: (x, y) => foundAt(result, x, y, this.#shown),
      onFound: (found) => {
        this.#stage.light(found?.index);
        this.#found.mark(found?.index);
      },
    };
    this.#listAll();
    showTiming(answer.timing, roundTrip);
    this.#notices.say(`${picture.name}: ${this.#summary(result)}, in ${duration(roundTrip)}.`);
  }

  #summary(result: Result): string {
    const legend = legendOf(result, this.#shown.threshold);
    if (result.content.kind === 'segment') {
      return legend
        .slice(0, 3)
        .map(({ name, amount }) => `${name} ${percent(amount)}`)
        .join(', ');
    }
    return counted(shownObjects(result.content, this.#shown).length, 'object');
  }

  /** Legend and objects: what the threshold changes. */
  #listAll(): void {
    const result = this.#current?.result;
    if (result === undefined) return;
    const { content } = result;
    const detects = content.kind === 'detect';
    this.#legend.show(legendOf(result, this.#shown.threshold), detects ? 'count' : 'share');
    this.#found.show(detects ? shownObjects(content, this.#shown) : undefined);
  }

  #shownChanged(): void {
    if (this.#current === undefined) return;
    const { content } = this.#current.result;
    this.#stage.update(this.#shown);
    if (content.kind === 'detect') this.#found.show(shownObjects(content, this.#shown));
  }

  #saveJson(): void {
    if (this.#current === undefined) return;
    const { picture, text } = this.#current;
    save(new Blob([text], { type: 'application/json' }), `${downloadName(picture.name, 'answer')}.json`);
  }

  async #savePng(): Promise<void> {
    if (this.#current === undefined) return;
    const { picture, result } = this.#current;
    const photo = picture.url === undefined ? undefined : element('photo', HTMLImageElement);
    try {
      const png = await renderPng(photo, result, this.#shown, this.#opacity.value);
      save(png, `${downloadName(picture.name, 'overlay')}.png`);
    } catch {
      this.#refuse('This browser has no room for a picture of that size. The answer (JSON) can be saved.');
    }
  }

  #standing(text: string): string {
    const kept = this.#current === undefined ? '' : `Still showing ${this.#current.picture.name}.`;
    return `${text} ${kept}`.trim();
  }

  #refuse(detail: string): void {
    this.#warn({ title: 'That cannot be used', detail, retry: false, wait: 0 });
  }

  #fail(error: unknown, again: () => void): void {
    if (!(error instanceof RequestFailed)) {
      const detail = 'The connection broke, or the server sent what this page does not understand.';
      this.#warn({ title: 'The answer cannot be read', detail, retry: true, wait: 0 }, again);
      return;
    }
    this.#warn(problemOf(error.failure), again);
    if (error.failure.status === 401) this.#key.ask();
  }

  #warn(problem: Problem, again?: () => void): void {
    this.#notices.say(this.#standing(''));
    this.#notices.warn(problem, again);
  }
}
